import DispatchHTTP
import DispatchLoop
import Testing

@Suite("half-closed clients", .timeLimit(.minutes(1)))
struct HalfCloseTests {
    @Test("a client that has ended its side still gets its responses")
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

    @Test("the last response announces the close if the client's end arrived with its requests")
    func halfCloseIsSaid() async throws {
        try await withServer { server in
            let client = try await Self.sentWithItsEnd(ConversationTests.get + ConversationTests.get, port: server.port)
            let text = try await offLoop { try client.rest() }
            let answers = text.split(separator: "HTTP/1.1 200 OK")
            #expect(answers.map { $0.contains("Connection: close") } == [false, true])
            #expect(await server.events.closes(1) == [.clientClosed])
        }
    }

    @Test("the last response announces the close if the client's end arrived while a handler worked")
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

    /// Sends the text and the client's end while the loop is blocked, so that both arrive together.
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
        // The loop receives the end before this timer fires.
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

    @Test("a connection that ends in the middle of a request closes without a response")
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
