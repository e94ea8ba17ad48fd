import DispatchHTTP
import DispatchLoop
import Testing

@Suite("slow clients over a socket", .timeLimit(.minutes(1)))
struct TimeoutTests {
    static let short = Duration.milliseconds(50)

    @Test("an incomplete header gets 408")
    func slowHeader() async throws {
        try await withServer({ $0.timeouts.head = Self.short }) { server in
            let port = server.port
            let reply = try await offLoop {
                let client = try TestClient(port: port)
                try client.send("GET / HTTP/1.1\r\nHo")
                let reply = try client.reply()
                return (reply, try client.isEnded())
            }
            #expect(reply.0.status == 408)
            #expect(reply.0.fields["connection"] == "close")
            #expect(reply.1)
            #expect(await server.events.closes(1) == [.headTimeout])
        }
    }

    @Test("a connection without bytes closes without a response")
    func silent() async throws {
        try await withServer({ $0.timeouts.idle = Self.short }) { server in
            let port = server.port
            let text = try await offLoop { try TestClient(port: port).rest() }
            #expect(text == "")
            #expect(await server.events.closes(1) == [.idleTimeout])
        }
    }

    @Test("the header timeout does not apply to a connection opened ahead")
    func openedAhead() async throws {
        try await withServer({ $0.timeouts.head = Self.short }) { server in
            let port = server.port
            let body = try await offLoop {
                let client = try TestClient(port: port)
                try Self.pass(milliseconds: 150)
                try client.send(ConversationTests.get)
                return try client.reply().body
            }
            #expect(body == "hello")
        }
    }

    @Test("dripping bytes do not prolong the header timeout")
    func drip() async throws {
        try await withServer({ $0.timeouts.head = .milliseconds(100) }) { server in
            let port = server.port
            let text = try await offLoop {
                let client = try TestClient(port: port)
                // Each write is an event that could move the deadline.
                try client.send("GET / HTTP/1.1\r\nHost: a\r\nX: ")
                while !isReadable(client.descriptor, within: 5) { try client.send("y") }
                return try client.reply().status
            }
            #expect(text == 408)
            #expect(await server.events.closes(1) == [.headTimeout])
        }
    }

    @Test("an idle connection closes without a response")
    func idle() async throws {
        try await withServer({ $0.timeouts.idle = Self.short }) { server in
            let port = server.port
            let (status, rest) = try await offLoop {
                let client = try TestClient(port: port)
                try client.send(ConversationTests.get)
                return (try client.reply().status, try client.rest())
            }
            #expect(status == 200)
            #expect(rest == "")
            #expect(await server.events.closes(1) == [.idleTimeout])
        }
    }

    @Test("a stalled body gets 408")
    func slowBody() async throws {
        try await withServer({ $0.timeouts.bodyStall = Self.short }) { server in
            let port = server.port
            let status = try await offLoop {
                let client = try TestClient(port: port)
                try client.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc")
                return try client.reply().status
            }
            #expect(status == 408)
            #expect(await server.events.closes(1) == [.bodyTimeout])
        }
    }

    @Test("a dripping body gets 408 after the body timeout")
    func drippingBody() async throws {
        try await withServer({ $0.timeouts.body = .milliseconds(100) }) { server in
            let port = server.port
            let status = try await offLoop {
                let client = try TestClient(port: port)
                try client.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
                while !isReadable(client.descriptor, within: 5) { try client.send("b") }
                return try client.reply().status
            }
            #expect(status == 408)
            #expect(await server.events.closes(1) == [.bodyTimeout])
        }
    }

    @Test("a client that does not read its response is dropped")
    func slowReader() async throws {
        try await withServer({ $0.timeouts.writeStall = Self.short }) { server in
            let port = server.port
            let client = try await offLoop {
                let client = try TestClient(port: port, receiveBuffer: 4096)
                for _ in 0..<20 { try client.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n") }
                return client
            }
            #expect(await server.events.closes(1) == [.writeTimeout])
            client.close()
        }
    }

    @Test("the client's timeouts do not run while its handler works")
    func handlerTime() async throws {
        try await withServer({
            $0.timeouts.head = Self.short
            $0.timeouts.idle = Self.short
        }) { server in
            let port = server.port
            async let reply = offLoop {
                let client = try TestClient(port: port)
                try client.send("GET /held?x HTTP/1.1\r\nHost: a\r\n\r\n")
                return try client.reply().body
            }
            await server.gate.arrivals(1)
            // Longer than both timeouts.
            try await offLoop { try Self.pass(milliseconds: 120) }
            await server.gate.open()
            let body = try await reply
            #expect(body == "held x")
        }
    }

    @Test(
        "requests that arrived while the loop was blocked are answered, on more connections than one epoll_wait returns"
    )
    func loopIsHeld() async throws {
        // A busy machine may need longer than a timeout to open the connections; then the next one is tried.
        for timeout in [200, 1_000, 5_000] where try await answersAfterHold(timeout: timeout) { return }
        Issue.record("expected 400 connections to be opened within 5 s")
    }

    /// Returns `false` if connections timed out before the loop was blocked.
    private func answersAfterHold(timeout: Int) async throws -> Bool {
        var wasInTime = false
        try await withServer({
            $0.timeouts.idle = .milliseconds(timeout)
            $0.timeouts.head = .milliseconds(timeout)
            $0.timeouts.bodyStall = .milliseconds(timeout)
        }) { server in
            let post = "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
            let kinds = [("", ConversationTests.get), ("GET / HT", "TP/1.1\r\nHost: a\r\n\r\n"), (post + "ab", "cd")]
            let port = server.port
            let clients = try await offLoop {
                try (0..<400).map { number in
                    let client = try TestClient(port: port)
                    try client.send(kinds[number % kinds.count].0)
                    return client
                }
            }
            await server.events.until { $0.opened == 400 }
            wasInTime = try await Self.holdLoop(milliseconds: Int32(timeout + 50)) {
                guard server.events.closes.isEmpty else { return false }
                for (number, client) in clients.enumerated() { try client.send(kinds[number % kinds.count].1) }
                return true
            }
            guard wasInTime else { return }
            let statuses = try await offLoop { try clients.map { try $0.reply().status } }
            #expect(statuses == (0..<400).map { $0 % kinds.count == 2 ? 201 : 200 })
        }
        return wasInTime
    }

    /// Runs `body`, and blocks the loop for this time if it returned `true`. Returns what it returned.
    @LoopActor
    private static func holdLoop(milliseconds: Int32, after body: @LoopActor () throws -> Bool) throws -> Bool {
        guard try body() else { return false }
        try pass(milliseconds: milliseconds)
        return true
    }

    /// Lets time pass, for tests about time.
    static func pass(milliseconds: Int32) throws {
        _ = isReadable(-1, within: milliseconds)
    }
}
