import DispatchHTTP
import HTTP1
import HTTP1Checks
import Testing

/// The parser's wire cases over a socket, as a client sees them.
@Suite("the wire cases over a socket", .timeLimit(.minutes(1)))
struct WireTests {
    /// The status of each response in `text`.
    static func statuses(_ text: String) -> [Int] {
        text.split(separator: "HTTP/1.1 ", omittingEmptySubsequences: true).compactMap { Int($0.prefix(3)) }
    }

    @Test("a rejected request gets one response with Connection: close, and the connection closes")
    func refused() async throws {
        try await withServer { server in
            let port = server.port
            try await offLoop {
                for wire in RefusedWire.all {
                    let client = try TestClient(port: port)
                    try client.send(wire.wire + Cut.trailing)
                    let reply = try client.reply()
                    #expect(reply.status == wire.status, "\(wire)")
                    #expect(reply.fields["connection"] == "close", "\(wire)")
                    #expect(reply.fields["content-type"] == "text/plain; charset=utf-8", "\(wire)")
                    #expect(reply.fields["date"]?.hasSuffix(" GMT") == true, "\(wire)")
                    #expect(reply.body.utf8.count == Int(reply.fields["content-length"] ?? ""), "\(wire)")
                    #expect(reply.body.hasSuffix(".\n"), "\(wire)")
                    #expect(try client.isEnded(), "\(wire)")
                }
            }
            #expect(Set(await server.events.closes(RefusedWire.all.count)) == [.refused])
        }
    }

    @Test("an accepted request gets one response, and so does the next one unless the connection closes")
    func understood() async throws {
        try await withServer { server in
            let port = server.port
            try await offLoop {
                for wire in AcceptedWire.all {
                    let client = try TestClient(port: port)
                    try client.send(wire.wire + Cut.trailing)
                    let reply = try client.reply(toHead: wire.method == "HEAD")
                    #expect([200, 204, 404, 405, 501].contains(reply.status), "\(wire)")
                    let stays = wire.keepAlive && wire.method != "CONNECT"
                    #expect((reply.fields["connection"] != "close") == stays, "\(wire)")
                    if stays {
                        #expect(try client.reply().status == 404, "\(wire)")
                    } else {
                        #expect(try client.isEnded(), "\(wire)")
                    }
                }
            }
        }
    }

    @Test("no response contains any part of the request")
    func noEcho() async throws {
        let mark = "<script>alert(1)</script>"
        let token = "SCRIPTALERT1"
        let wires = [
            "\(token) / HTTP/1.1\r\nHost: a\r\n\r\n", "\(mark) / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\(mark) HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x?\(mark) HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST /\(mark) HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nX: \(mark)\r\n\r\n",
            "TRACE / HTTP/1.1\r\nHost: a\r\nX: \(mark)\r\nCookie: \(mark)\r\n\r\n",
            "GET \(mark) HTTP/1.1\r\nHost: a\r\n\r\n", "GET / \(mark)\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: \(mark)\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\(mark): x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\(mark)\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nExpect: \(mark)\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: \(mark)\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \(mark)\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\(mark)\r\n",
            "CONNECT \(token):80 HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS /\(mark) HTTP/1.1\r\nHost: a\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \(mark.utf8.count)\r\n\r\n\(mark)",
        ]
        try await withServer { server in
            let port = server.port
            try await offLoop {
                for wire in wires {
                    let client = try TestClient(port: port)
                    try client.send(wire)
                    client.endWriting()
                    let text = try client.rest()
                    #expect(Self.statuses(text).count == 1, "\(wire.debugDescription)")
                    #expect(!text.lowercased().contains("script"), "\(wire.debugDescription)")
                }
            }
        }
    }

    @Test("the response to a rejected HEAD has no body; an invalid request line is no HEAD")
    func rejectedHeadMethod() async throws {
        try await withServer { server in
            let port = server.port
            try await offLoop {
                for (wire, hasBody) in [
                    ("HEAD / HTTP/1.1\r\nX\r\n", false),
                    ("HEAD / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", false),
                    ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n", true), ("GET / HTTP/1.1\r\nX\r\n", true),
                ] {
                    let client = try TestClient(port: port)
                    try client.send(wire)
                    let text = try client.rest()
                    #expect(text.contains("HTTP/1.1 400 "))
                    #expect(text.hasSuffix(".\n") == hasBody, "\(wire.debugDescription)")
                    #expect(!text.contains("Content-Length: 0"))
                }
            }
        }
    }

    @Test("the response to HEAD has the fields of GET")
    func headFields() async throws {
        try await withServer { server in
            let port = server.port
            try await offLoop {
                for path in ["/", "/query?x", "/later?y", "/large", "/none"] {
                    let client = try TestClient(port: port)
                    try client.send("GET \(path) HTTP/1.1\r\nHost: a\r\n\r\nHEAD \(path) HTTP/1.1\r\nHost: a\r\n\r\n")
                    var (get, head) = (try client.reply(), try client.reply(toHead: true))
                    get.fields["date"] = nil
                    head.fields["date"] = nil
                    #expect(get.status == head.status)
                    #expect(get.fields == head.fields)
                    #expect(get.fields["content-length"] == "\(get.body.utf8.count)")
                }
            }
        }
    }

    @Test("OPTIONS gets 204 with Allow and without length, for a path and for the server")
    func options() async throws {
        try await withServer { server in
            let port = server.port
            try await offLoop {
                let client = try TestClient(port: port)
                for (target, allow) in [
                    ("/", "GET, HEAD, OPTIONS"), ("*", "GET, HEAD, OPTIONS, POST"),
                    ("http://a", "GET, HEAD, OPTIONS, POST"),
                ] {
                    try client.send("OPTIONS \(target) HTTP/1.1\r\nHost: a\r\n\r\n")
                    let reply = try client.reply()
                    #expect(reply.status == 204)
                    #expect(reply.fields["allow"] == allow)
                    #expect(reply.fields["content-length"] == nil)
                    #expect(reply.fields["transfer-encoding"] == nil)
                }
            }
        }
    }

    @Test(
        "only a client that waits for 100 Continue gets it",
        arguments: [
            ("POST /body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n", [100, 201]),
            ("POST /body HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n", [100, 201]),
            ("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n", [201]),
            (
                "POST /body HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n",
                [201]
            ),
            ("POST /body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 9999999\r\n\r\n", [413]),
            ("POST /body HTTP/1.1\r\nHost: a\r\nExpect: the-unexpected\r\nContent-Length: 3\r\n\r\n", [417]),
        ])
    func continues(_ head: String, _ expected: [Int]) async throws {
        try await withServer { server in
            let port = server.port
            let statuses = try await offLoop {
                let client = try TestClient(port: port)
                try client.send(head)
                // Only an interim response or a rejection precedes the body.
                var statuses: [Int] = []
                if expected != [201] { statuses.append(try client.reply().status) }
                if expected.last == 201 {
                    try client.send("abc")
                    statuses.append(try client.reply().status)
                }
                client.endWriting()
                return try statuses + Self.statuses(client.rest())
            }
            #expect(statuses == expected)
        }
    }

    @Test("a request after the last one is not processed")
    func nothingAfterClose() async throws {
        try await withServer { server in
            let port = server.port
            try await offLoop {
                for wire in [
                    "GET /query?1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "GET /query?1 HTTP/1.0\r\n\r\n",
                    "GET /last HTTP/1.1\r\nHost: a\r\n\r\n", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
                ] {
                    let client = try TestClient(port: port)
                    try client.send(wire + "POST /body HTTP/1.1\r\nHost: a\r\n\r\n")
                    let text = try client.rest()
                    #expect(Self.statuses(text).count == 1)
                    #expect(text.contains("\r\nConnection: close\r\n"))
                }
            }
            #expect(await !server.events.statuses.contains(201))
        }
    }

    @Test(
        "an ambiguous request that hides a second one gets a single response",
        arguments: [
            "Content-Length: 0\r\nTransfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 44",
            "Content-Length: 0\r\nContent-Length: 44", "Content-Length: 44, 0", "Content-Length : 44",
            "Transfer-Encoding : chunked", "Transfer-Encoding: xchunked", "Transfer-Encoding:\u{0B}chunked",
            "X: y\r\n Transfer-Encoding: chunked", "X: y\nTransfer-Encoding: chunked", "X: y\rContent-Length: 44",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", "Content-Length: +44", "Content-Length: 0x2C",
        ])
    func oneAnswer(_ fields: String) async throws {
        try await withServer { server in
            let port = server.port
            let text = try await offLoop {
                let client = try TestClient(port: port)
                let hidden = "GET /query?hidden HTTP/1.1\r\nHost: a\r\n\r\n"
                try client.send("POST /body HTTP/1.1\r\nHost: a\r\n\(fields)\r\n\r\n0\r\n\r\n" + hidden)
                return try client.rest()
            }
            #expect(Self.statuses(text) == [400])
            #expect(!text.contains("hidden"))
            #expect(await server.events.closes(1) == [.refused])
        }
    }

    @Test("pipelined requests of all kinds are answered in order")
    func mixedPipeline() async throws {
        try await withServer { server in
            let port = server.port
            try await offLoop {
                let client = try TestClient(port: port)
                let chunked =
                    "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                    + "3;x\r\nGET\r\n0\r\nA: b\r\n\r\n"
                let kinds: [(wire: String, status: Int, body: String?, isHead: Bool)] = [
                    ("GET /query?NUMBER HTTP/1.1\r\nHost: a\r\n\r\n", 200, "NUMBER", false),
                    ("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", 200, "", true),
                    ("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", 201, "", false),
                    (chunked, 201, "", false),
                    ("\r\nGET /none HTTP/1.1\r\nHost: a\r\n\r\n", 404, nil, false),
                    ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 204, "", false),
                    ("GET /later?NUMBER HTTP/1.1\r\nHost: a\r\n\r\n", 200, "NUMBER", false),
                    ("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, nil, false),
                    ("BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501, nil, false),
                ]
                func wire(_ number: Int) -> String {
                    kinds[number % kinds.count].wire.split(separator: "NUMBER", omittingEmptySubsequences: false)
                        .joined(separator: "\(number)")
                }
                try client.send((0..<1000).map(wire).joined())
                for number in 0..<1000 {
                    let kind = kinds[number % kinds.count]
                    let reply = try client.reply(toHead: kind.isHead)
                    #expect(reply.status == kind.status)
                    if let body = kind.body { #expect(reply.body == (body == "NUMBER" ? "\(number)" : body)) }
                }
                client.endWriting()
                #expect(try client.isEnded())
            }
        }
    }

    @Test(
        "a connection that ends or resets in the middle of a body closes without a response",
        arguments: [true, false])
    func endInTheBody(isReset: Bool) async throws {
        try await withServer { server in
            let port = server.port
            try await offLoop {
                let client = try TestClient(port: port)
                try client.send("POST /body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 10\r\n\r\n")
                #expect(try client.reply().status == 100)
                try client.send("abc")
                if isReset { return client.reset() }
                client.endWriting()
                #expect(try client.isEnded())
            }
            #expect(await server.events.closes(1) == [isReset ? .reset : .clientClosedEarly])
            #expect(await server.events.statuses == [])
        }
    }

    @Test("HTTP/2, HTTP/0.9 and TLS are rejected, an upgrade is ignored")
    func otherProtocols() async throws {
        try await withServer { server in
            let port = server.port
            try await offLoop {
                for (wire, status) in [
                    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505), ("GET /\r\n", 400), ("\u{16}\u{3}\u{1}\u{2}", 400),
                    ("SSH-2.0-OpenSSH_9.2\r\n", 400),
                ] {
                    let client = try TestClient(port: port)
                    try client.send(wire)
                    #expect(Self.statuses(try client.rest()) == [status])
                }
                let client = try TestClient(port: port)
                try client.send(
                    "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
                        + "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n")
                #expect(try client.reply().body == "hello")
            }
        }
    }
}
