import DispatchHTTP
import DispatchLoop
import Testing

@Suite("clients that end their side", .timeLimit(.minutes(1)))
struct HalfCloseTests {
    @Test("a client that has ended its side still gets its answers")
    func halfClose() async throws {
        try await withServer { server in
            let port = server.port
            let text = try await offLoop {
                let client = try TestClient(port: port)
                try client.send("GET /later?1 HTTP/1.1\r\nHost: a\r\n\r\nGET /query?2 HTTP/1.1\r\nHost: a\r\n\r\n")
                client.endWriting()
                return try client.rest()
            }
            #expect(text.contains("\r\n\r\n1HTTP/1.1 200 OK"))
            #expect(text.hasSuffix("\r\n\r\n2"))
            #expect(await server.events.closes(1) == [.clientClosed])
        }
    }

    @Test("when a client's end has come with its requests, the last answer says that it is the last")
    func halfCloseIsSaid() async throws {
        try await withServer { server in
            let client = try await Self.sentWithItsEnd(ConversationTests.get + ConversationTests.get, port: server.port)
            let text = try await offLoop { try client.rest() }
            let answers = text.split(separator: "HTTP/1.1 200 OK")
            #expect(answers.map { $0.contains("Connection: close") } == [false, true])
            #expect(await server.events.closes(1) == [.clientClosed])
        }
    }

    @Test("so it does when the end came while a handler worked")
    func halfCloseWhileHeldIsSaid() async throws {
        try await withServer { server in
            let port = server.port
            let client = try await offLoop {
                let client = try TestClient(port: port)
                try client.send("GET /held?x HTTP/1.1\r\nHost: a\r\n\r\n")
                return client
            }
            await server.gate.arrivals(1)
            try await Self.endAndOpen(client, server)
            let reply = try await offLoop { try client.reply() }
            #expect(reply.fields["connection"] == "close")
        }
    }

    /// The end is in the kernel before the loop, which this holds, can look.
    @LoopActor
    private static func sentWithItsEnd(_ text: String, port: UInt16) throws -> TestClient {
        let client = try TestClient(port: port)
        try client.send(text)
        client.endWriting()
        return client
    }

    @LoopActor
    private static func endAndOpen(_ client: TestClient, _ server: TestServer) async throws {
        client.endWriting()
        // One turn of the loop, in which it hears of the end.
        await withCheckedContinuation { continuation in
            _ = EventLoop.shared.schedule(at: EventLoop.shared.now + .milliseconds(5)) { continuation.resume() }
        }
        server.gate.open()
    }

    @Test("a half-closed client waits for its handler")
    func halfCloseWhileHeld() async throws {
        try await withServer { server in
            let port = server.port
            async let text = offLoop {
                let client = try TestClient(port: port)
                try client.send("GET /held?x HTTP/1.1\r\nHost: a\r\n\r\n")
                client.endWriting()
                return try client.rest()
            }
            await server.gate.arrivals(1)
            await server.gate.open()
            let answer = try await text
            #expect(answer.hasSuffix("held x"))
            #expect(await server.gate.cancelled == 0)
        }
    }

    @Test("a connection that ends in the middle of a request is closed without an answer")
    func endInTheMiddle() async throws {
        try await withServer { server in
            let port = server.port
            let text = try await offLoop {
                let client = try TestClient(port: port)
                try client.send("GET / HTTP/1.1\r\nHo")
                client.endWriting()
                return try client.rest()
            }
            #expect(text == "")
            #expect(await server.events.closes(1) == [.clientClosedEarly])
        }
    }
}
