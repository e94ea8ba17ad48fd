import DispatchHTTP
import DispatchLoop
import HTTP1
import Testing

@Suite("conversations over a socket", .timeLimit(.minutes(1)))
struct ConversationTests {
    static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

    @Test("a request is answered, and the connection persists")
    func keepAlive() async throws {
        try await withServer { server in
            let port = server.port
            let replies = try await offLoop {
                let client = try TestClient(port: port)
                return try (0..<3).map { _ in
                    try client.send(Self.get)
                    return try client.reply()
                }
            }
            for reply in replies {
                #expect(reply.status == 200)
                #expect(reply.body == "hello")
                #expect(reply.fields["content-length"] == "5")
                #expect(reply.fields["date"]?.hasSuffix(" GMT") == true)
                #expect(reply.fields["connection"] == nil)
            }
            #expect(await server.events.closes(1) == [.clientClosed])
            #expect(await server.events.opened == 1)
        }
    }

    @Test("a thousand pipelined requests are answered in order")
    func pipelining() async throws {
        try await withServer { server in
            let port = server.port
            try await offLoop {
                let client = try TestClient(port: port)
                let requests = (0..<1000).map { number in
                    let path = number % 7 == 0 ? "/later" : "/query"
                    return "GET \(path)?\(number) HTTP/1.1\r\nHost: a\r\n\r\n"
                }
                try client.send(requests.joined())
                for number in 0..<1000 {
                    let reply = try client.reply()
                    #expect(reply.body == "\(number)")
                }
            }
        }
    }

    @Test("a request that arrives byte by byte is answered")
    func byteByByte() async throws {
        try await withServer { server in
            let port = server.port
            let reply = try await offLoop {
                let client = try TestClient(port: port)
                for byte in Self.get.utf8 { try client.send([byte]) }
                return try client.reply()
            }
            #expect(reply.body == "hello")
        }
    }

    @Test("requests get the id of the identifier closure, and responses contain it")
    func requestIDs() async throws {
        try await withServer { server in
            let port = server.port
            await server.identify { ($0.firstValue(of: "x-request-id") ?? "made") + "\r\nA: b" }
            let text = try await offLoop {
                let client = try TestClient(port: port)
                try client.send("GET /counted HTTP/1.1\r\nHost: a\r\nX-Request-Id: given\r\n\r\n" + Self.get)
                client.endWriting()
                return try client.rest()
            }
            // The server omits bytes that could end the line.
            #expect(text.contains("\r\nX-Request-Id: givenA:b\r\n"))
            #expect(text.contains("\r\nX-Request-Id: madeA:b\r\n"))
            #expect(await server.events.exchanges.map(\.request.id) == ["given\r\nA: b", "made\r\nA: b"])
            #expect(await server.events.exchanges.map(\.bodyBytes) == [4, 5])
        }
    }

    @Test("a reset while a handler works cancels the handler")
    func resetWhileWorking() async throws {
        try await withServer { server in
            let port = server.port
            let client = try await offLoop {
                let client = try TestClient(port: port)
                try client.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
                return client
            }
            await server.gate.arrivals(1)
            client.reset()
            #expect(await server.events.closes(1) == [.reset])
            await server.events.until { $0.abandonments == 1 }
            #expect(await server.gate.cancelled == 1)
        }
    }

    @Test(
        "a connection closes when the client or the response asks for it",
        arguments: [
            ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", "close", ConnectionCloseReason.requested),
            ("GET / HTTP/1.0\r\n\r\n", "close", .requested),
            ("GET /last HTTP/1.1\r\nHost: a\r\n\r\n", "close", .answered),
        ])
    func closes(_ request: String, _ field: String, _ reason: ConnectionCloseReason) async throws {
        try await withServer { server in
            let port = server.port
            let (reply, isEnded) = try await offLoop {
                let client = try TestClient(port: port)
                try client.send(request)
                return (try client.reply(), try client.isEnded())
            }
            #expect(reply.fields["connection"] == field)
            #expect(isEnded)
            #expect(await server.events.closes(1) == [reason])
        }
    }

    @Test("an HTTP/1.0 client with keep-alive keeps its connection")
    func keepAliveHTTP10() async throws {
        try await withServer { server in
            let port = server.port
            let replies = try await offLoop {
                let client = try TestClient(port: port)
                return try (0..<2).map { _ in
                    try client.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                    return try client.reply()
                }
            }
            #expect(replies.map(\.fields["connection"]) == ["keep-alive", "keep-alive"])
        }
    }

    @Test("bytes after the last request do not destroy the last response")
    func lingering() async throws {
        try await withServer { server in
            let port = server.port
            let text = try await offLoop {
                let client = try TestClient(port: port)
                let junk = String(repeating: "junk", count: 20_000)
                try client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + junk)
                return try client.rest()
            }
            #expect(text.hasSuffix("hello"))
        }
    }

    @Test("the response to HEAD has the length and no body")
    func head() async throws {
        try await withServer { server in
            let port = server.port
            let (head, next) = try await offLoop {
                let client = try TestClient(port: port)
                try client.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + Self.get)
                return (try client.reply(toHead: true), try client.reply())
            }
            #expect(head.fields["content-length"] == "5")
            #expect(next.body == "hello")
        }
    }

    @Test("a body is read and dropped, and the connection persists")
    func body() async throws {
        try await withServer { server in
            let port = server.port
            let statuses = try await offLoop {
                let client = try TestClient(port: port)
                let body = String(repeating: "b", count: 1_000_000)
                try client.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n" + body + Self.get)
                return [try client.reply().status, try client.reply().status]
            }
            #expect(statuses == [201, 200])
        }
    }

    @Test("a client that waits for 100 Continue gets it")
    func continues() async throws {
        try await withServer { server in
            let port = server.port
            let statuses = try await offLoop {
                let client = try TestClient(port: port)
                try client.send("POST /body HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n")
                let first = try client.reply().status
                try client.send("abc")
                return [first, try client.reply().status]
            }
            #expect(statuses == [100, 201])
        }
    }

    /// A client whose responses exceed the kernel's buffer, so that the connection waits for it to read.
    static func blockedClient(_ server: TestServer, _ path: String, count: Int) async throws -> TestClient {
        let port = server.port
        let client = try await offLoop {
            let client = try TestClient(port: port, receiveBuffer: 4096)
            // In one segment, so that one event handles all requests.
            try client.send(String(repeating: "GET \(path) HTTP/1.1\r\nHost: a\r\n\r\n", count: count))
            return client
        }
        await server.events.until { !$0.statuses.isEmpty }
        #expect(await server.server.idleCount == 0)
        return client
    }

    @Test("a client that does not read blocks its connection, and gets everything once it reads")
    func backpressure() async throws {
        try await withServer { server in
            let client = try await Self.blockedClient(server, "/large", count: 40)
            #expect(await server.events.statuses.count < 40)
            try await offLoop {
                for _ in 0..<40 {
                    let reply = try client.reply()
                    #expect(reply.body.utf8.count == 1 << 20)
                }
                try client.send(Self.get)
                #expect(try client.reply().body == "hello")
            }
        }
    }

    @Test("IPv6 and IPv4 are served on the same port")
    func bothFamilies() async throws {
        try await withServer({ $0.host = "*" }) { server in
            let port = server.port
            let bodies = try await offLoop {
                try [true, false].map { ipv6 in
                    let client = try TestClient(port: port, ipv6: ipv6)
                    try client.send(Self.get)
                    return try client.reply().body
                }
            }
            #expect(bodies == ["hello", "hello"])
            #expect(await server.server.addresses.count == 2)
            #expect(await server.events.exchanges.map(\.peer.host) == ["::1", "127.0.0.1"])
            let peer = try #require(await server.events.exchanges.first?.peer)
            #expect(peer.description == "[::1]:\(peer.port)" && peer.port > 0)
        }
    }

    @Test("invalid HTTP gets an error response and a closed connection")
    func badRequest() async throws {
        try await withServer { server in
            let port = server.port
            let (reply, isEnded) = try await offLoop {
                let client = try TestClient(port: port)
                try client.send("GET / HTTP/1.1\r\n\r\n" + Self.get + String(repeating: "x", count: 10_000))
                return (try client.reply(), try client.isEnded())
            }
            #expect(reply.status == 400)
            #expect(reply.fields["content-type"] == "text/plain; charset=utf-8")
            #expect(reply.fields["connection"] == "close")
            #expect(reply.body == "The Host header is missing.\n")
            #expect(isEnded)
            #expect(await server.events.closes(1) == [.refused])
            #expect(await server.events.refusals == [.missingHost])
            #expect(await server.events.lastRefusal?.bodyBytes == reply.body.utf8.count)
            #expect(await server.events.lastRefusal?.peer.host == "127.0.0.1")
        }
    }

    @Test("a client that sends too much and reads only afterwards still receives the error")
    func tooLarge() async throws {
        try await withServer { server in
            let port = server.port
            let status = try await offLoop {
                let client = try TestClient(port: port)
                try client.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n")
                try client.send(Array(repeating: 0x62, count: 3_000_000))
                return try client.reply().status
            }
            #expect(status == 413)
            #expect(await server.events.closes(1) == [.refused])
        }
    }

    @Test("a reset in the middle of a request closes the connection")
    func resetInTheMiddle() async throws {
        try await withServer { server in
            let port = server.port
            try await offLoop {
                let client = try TestClient(port: port)
                try client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HT")
                _ = try client.reply()
                client.reset()
            }
            #expect(await server.events.closes(1) == [.reset])
        }
    }

    @Test("a reset during a large response closes the connection")
    func resetWhileWriting() async throws {
        try await withServer { server in
            let port = server.port
            try await offLoop {
                let client = try TestClient(port: port, receiveBuffer: 4096)
                for _ in 0..<20 { try client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n") }
                _ = isReadable(client.descriptor, within: 5000)
                client.reset()
            }
            #expect(await server.events.closes(1) == [.reset])
        }
    }

    @Test("requests pipelined behind a handler wait for it")
    func pipelinedBehindAHandler() async throws {
        try await withServer { server in
            let port = server.port
            let client = try await offLoop {
                let client = try TestClient(port: port)
                try client.send("GET /held?1 HTTP/1.1\r\nHost: a\r\n\r\n" + Self.get + Self.get)
                return client
            }
            await server.gate.arrivals(1)
            try await offLoop { try client.send(Self.get) }
            #expect(await server.events.statuses == [])
            await server.gate.open()
            let bodies = try await offLoop { try (0..<4).map { _ in try client.reply().body } }
            #expect(bodies == ["held 1", "hello", "hello", "hello"])
        }
    }

    @Test("the error of a pipelined request follows the earlier responses")
    func badBehindGood() async throws {
        try await withServer { server in
            let port = server.port
            let text = try await offLoop {
                let client = try TestClient(port: port)
                try client.send(
                    "GET /later?1 HTTP/1.1\r\nHost: a\r\n\r\n" + Self.get + "GET / HTTP/9.9\r\n\r\n" + Self.get)
                return try client.rest()
            }
            let statuses = text.split(separator: "HTTP/1.1 ").compactMap { Int($0.prefix(3)) }
            #expect(statuses == [200, 200, 505])
        }
    }
}
