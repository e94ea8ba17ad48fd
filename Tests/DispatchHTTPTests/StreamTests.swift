import DispatchHTTP
import DispatchLoop
import HTTP1
import Testing

@Suite("streaming responses", .timeLimit(.minutes(1)))
struct StreamTests {
    static let get = "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n"

    /// A client that has received the head of a stream.
    static func listener(_ server: TestServer, receiveBuffer: Int32? = nil) async throws -> TestClient {
        let port = server.port
        let before = await server.events.streams
        let client = try await offLoop {
            let client = try TestClient(port: port, receiveBuffer: receiveBuffer)
            try client.send(Self.get)
            _ = try client.read(through: "\r\n\r\n")
            return client
        }
        await server.events.until { $0.streams > before }
        return client
    }

    @Test("pieces are sent at once as chunks, and the connection persists")
    func chunks() async throws {
        try await withServer { server in
            let port = server.port
            let client = try await offLoop {
                let client = try TestClient(port: port)
                try client.send(Self.get)
                let head = try client.read(through: "\r\n\r\n")
                #expect(head.contains("\r\nTransfer-Encoding: chunked\r\n"))
                #expect(head.contains("\r\nContent-Type: text/plain\r\n"))
                #expect(!head.contains("Content-Length"))
                #expect(!head.contains("Connection:"))
                return client
            }
            await server.broadcast.send("hello")
            #expect(try await offLoop { try client.read(through: "hello\r\n") } == "5\r\nhello\r\n")
            await server.broadcast.send([])
            await server.broadcast.send(String(repeating: "x", count: 20))
            #expect(
                try await offLoop { try client.read(through: "x\r\n") }
                    == "14\r\n\(String(repeating: "x", count: 20))\r\n")
            await server.broadcast.end()
            let last = try await offLoop {
                let last = try client.read(through: "0\r\n\r\n")
                try client.send(ConversationTests.get)
                return (last, try client.reply().body)
            }
            #expect(last == ("0\r\n\r\n", "hello"))
            let exchange = try #require(await server.events.exchanges.first)
            #expect(exchange.bodyBytes == 25)
            #expect(exchange.abortReason == nil)
            #expect(exchange.peer.host == "127.0.0.1")
            #expect(await server.broadcast.ends == [])
        }
    }

    @Test("a stream that ends at once keeps its order among pipelined requests")
    func pipelined() async throws {
        try await withServer { server in
            let port = server.port
            let text = try await offLoop {
                let client = try TestClient(port: port)
                let counted = "GET /counted HTTP/1.1\r\nHost: a\r\n\r\n"
                try client.send(ConversationTests.get + counted + counted + ConversationTests.get)
                client.endWriting()
                return try client.rest()
            }
            let chunks = "\r\n\r\n1\r\n0\r\n1\r\n1\r\n1\r\n2\r\n1\r\n3\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n"
            #expect(text.ranges(of: chunks).count == 2)
            #expect(text.hasSuffix("hello"))
        }
    }

    @Test("HTTP/1.0 gets plain pieces until the connection closes")
    func http10() async throws {
        try await withServer { server in
            let port = server.port
            let text = try await offLoop {
                let client = try TestClient(port: port)
                try client.send("GET /counted HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
                return try client.rest()
            }
            #expect(!text.contains("Transfer-Encoding"))
            #expect(!text.contains("Content-Length"))
            #expect(text.contains("\r\nConnection: close\r\n"))
            #expect(text.hasSuffix("\r\n\r\n0123"))
            #expect(await server.events.closes(1) == [.answered])
        }
    }

    @Test("HEAD requests and responses without a body get the head only", arguments: ["HEAD /stream", "GET /empty"])
    func headOnly(_ request: String) async throws {
        try await withServer { server in
            let port = server.port
            let (head, next) = try await offLoop {
                let client = try TestClient(port: port)
                try client.send("\(request) HTTP/1.1\r\nHost: a\r\n\r\n" + ConversationTests.get)
                return (try client.read(through: "\r\n\r\n"), try client.reply())
            }
            #expect(head.contains("Transfer-Encoding: chunked") == request.hasPrefix("HEAD"))
            #expect(next.body == "hello")
            #expect(await server.broadcast.streams.isEmpty)
        }
    }

    @Test("a stream ends at once when its client closes or resets", arguments: [true, false])
    func leaves(_ inOrder: Bool) async throws {
        try await withServer { server in
            let client = try await Self.listener(server)
            await server.broadcast.send("abc")
            if inOrder { client.endWriting() } else { client.reset() }
            let reason: ConnectionCloseReason = inOrder ? .clientClosed : .reset
            #expect(await server.events.closes(1) == [reason])
            #expect(await server.server.connectionCount == 0)
            #expect(await server.events.exchanges.map(\.abortReason) == [reason])
            #expect(await server.events.exchanges.map(\.bodyBytes) == [3])
            #expect(await server.broadcast.ends == [reason])
            #expect(await server.broadcast.streams.isEmpty)
        }
    }

    @Test("a client that does not read is dropped at the bound, without delay for others")
    func overflow() async throws {
        try await withServer({ $0.maxStreamBacklog = 10_000 }) { server in
            let sleeper = try await Self.listener(server, receiveBuffer: 4096)
            let reader = try await Self.listener(server)
            let piece = Array(repeating: UInt8(ascii: "x"), count: 4_000)
            async let received = offLoop { try reader.read(through: "end").utf8.count }
            var sent = 0
            // First the kernel's buffer fills, then ours.
            while await server.broadcast.send(piece) == 2 {
                sent += 1
                let waiting = await server.broadcast.waitingBytes
                #expect(waiting <= 10_000)
                try #require(sent < 100_000)
                await Task.yield()
            }
            await server.broadcast.send("end")
            #expect(try await received > sent * 4_000)
            #expect(await server.events.closes(1) == [.streamOverflow])
            #expect(await server.broadcast.ends == [.streamOverflow])
            sleeper.close()
            reader.close()
        }
    }

    @Test("the kernel buffers about as much of a stream as the server, not megabytes")
    func kernelBuffer() async throws {
        try await withServer({ $0.maxStreamBacklog = 10_000 }) { server in
            let sleeper = try await Self.listener(server, receiveBuffer: 4096)
            let piece = Array(repeating: UInt8(ascii: "x"), count: 4_000)
            var sent = 0
            while await server.broadcast.send(piece) == 1 {
                sent += piece.count
                try #require(sent < 200_000)
            }
            #expect(await server.events.closes(1) == [.streamOverflow])
            sleeper.close()
        }
    }

    @Test("a client that reads nothing of a stream is dropped after writeStall")
    func stall() async throws {
        try await withServer({
            $0.timeouts.writeStall = .milliseconds(50)
            $0.maxStreamBacklog = 1 << 30
        }) { server in
            let client = try await Self.listener(server, receiveBuffer: 4096)
            let piece = Array(repeating: UInt8(ascii: "x"), count: 100_000)
            while await server.broadcast.waitingBytes == 0 { await server.broadcast.send(piece) }
            #expect(await server.events.closes(1) == [.writeTimeout])
            client.close()
        }
    }

    @Test("a slow client gets every byte in order once it reads")
    func slowReader() async throws {
        try await withServer({ $0.maxStreamBacklog = 1 << 22 }) { server in
            let client = try await Self.listener(server, receiveBuffer: 4096)
            var sent = 0
            while await server.broadcast.waitingBytes < 1 << 20 {
                await server.broadcast.send(String(repeating: "\(sent % 10)", count: 5_000))
                sent += 1
            }
            await server.broadcast.end()
            let text = try await offLoop { try client.read(through: "\r\n0\r\n\r\n") }
            let expected = (0..<sent).map { "1388\r\n\(String(repeating: "\($0 % 10)", count: 5_000))\r\n" }
            #expect(text == expected.joined() + "0\r\n\r\n")
        }
    }

    @Test("no idle timeout ends a stream, and the client's next request waits in the kernel")
    func patience() async throws {
        try await withServer({
            $0.timeouts.idle = .milliseconds(30)
            $0.timeouts.head = .milliseconds(30)
        }) { server in
            let client = try await Self.listener(server)
            try await offLoop {
                try client.send(ConversationTests.get)
                try TimeoutTests.pass(milliseconds: 100)
            }
            #expect(await server.events.statuses == [])
            await server.broadcast.end()
            let body = try await offLoop {
                _ = try client.read(through: "0\r\n\r\n")
                return try client.reply().body
            }
            #expect(body == "hello")
        }
    }

    @Test("a drain completes streams at once, and aborts those that are behind")
    func drain() async throws {
        try await withServer({ $0.maxStreamBacklog = 1 << 30 }) { server in
            let behind = try await Self.listener(server, receiveBuffer: 4096)
            let piece = Array(repeating: UInt8(ascii: "x"), count: 100_000)
            while await server.broadcast.waitingBytes == 0 { await server.broadcast.send(piece) }
            let reader = try await Self.listener(server)
            let report = await server.server.drain(deadline: EventLoop.shared.now + .seconds(30))
            #expect(report.forced == 0)
            #expect(await server.events.closes == [.drained, .drained])
            #expect(await server.broadcast.ends == [.drained, .drained])
            #expect(try await offLoop { try reader.rest() } == "0\r\n\r\n")
            behind.close()
        }
    }

    @Test(
        "a client that vanishes silently is dropped after writeStall, not after the kernel's quarter of an hour"
    )
    func vanishes() async throws {
        try await withServer({ $0.timeouts.writeStall = .milliseconds(300) }) { server in
            let port = server.port
            let client = try await offLoop {
                let client = try TestClient(port: port)
                try client.send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n")
                _ = try client.read(through: "\r\n\r\n")
                return client
            }
            client.dropEverything()
            await server.broadcast.send("news")
            let closes = await server.events.closes(1)
            #expect(closes == [.reset], "the kernel reports a timeout")
        }
    }
}
