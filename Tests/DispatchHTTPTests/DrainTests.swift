import DispatchHTTP
import DispatchLoop
import Testing

@Suite("leaving politely", .timeLimit(.minutes(1)))
struct DrainTests {
    @Test("requests in flight are answered with Connection: close, idle connections end, new ones are refused")
    func answersWhatIsInFlight() async throws {
        try await withServer { server in
            let port = server.port
            let (idle, busy) = try await offLoop {
                let idle = try TestClient(port: port)
                try idle.send(ConversationTests.get)
                _ = try idle.reply()
                let busy = try (0..<16).map { number in
                    let client = try TestClient(port: port)
                    try client.send("GET /held?\(number) HTTP/1.1\r\nHost: a\r\n\r\n")
                    return client
                }
                return (idle, busy)
            }
            await server.gate.arrivals(16)
            async let report = server.server.drain(deadline: EventLoop.shared.now + .seconds(5))
            #expect(try await offLoop { try idle.isEnded() })
            #expect(throws: TestClient.Failure.self) { _ = try TestClient(port: port) }
            await server.gate.open()
            let replies = try await offLoop { try busy.map { try $0.reply() } }
            #expect(replies.map(\.body) == (0..<16).map { "held \($0)" })
            #expect(replies.allSatisfy { $0.fields["connection"] == "close" })
            let drained = await report
            #expect(drained == HTTPServer.DrainReport(answered: 16, forced: 0))
            #expect(await server.events.closes(17) == Array(repeating: .drained, count: 17))
        }
    }

    @Test("at the deadline the rest is closed by force, and its handlers are cancelled")
    func forces() async throws {
        try await withServer { server in
            let port = server.port
            let client = try await offLoop {
                let client = try TestClient(port: port)
                try client.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
                return client
            }
            await server.gate.arrivals(1)
            let report = await server.server.drain(deadline: EventLoop.shared.now + .milliseconds(50))
            #expect(report == HTTPServer.DrainReport(answered: 0, forced: 1))
            #expect(await server.events.closes(1) == [.drainForced])
            #expect(try await offLoop { try client.isEnded() })
            await server.events.until { $0.abandonments == 1 }
            #expect(await server.gate.cancelled == 1)
        }
    }

    @Test("a request that has arrived on an idle connection or an unaccepted one is answered")
    func answersWhatHasArrived() async throws {
        try await withServer { server in
            let port = server.port
            // While the loop is held, a request arrives on an idle connection and another on a new one. Then it drains.
            let idle = try await offLoop {
                let client = try TestClient(port: port)
                try client.send(ConversationTests.get)
                _ = try client.reply()
                return client
            }
            let late = try await Self.whileLoopIsHeld(server, port, idle)
            let replies = try await offLoop { [try idle.reply(), try late.reply()] }
            #expect(replies.map(\.body) == ["hello", "hello"])
            #expect(replies.map(\.fields["connection"]) == ["close", "close"])
        }
    }

    @LoopActor
    private static func whileLoopIsHeld(
        _ server: TestServer, _ port: UInt16, _ idle: TestClient
    ) async throws -> TestClient {
        try idle.send(ConversationTests.get)
        let late = try TestClient(port: port)
        try late.send(ConversationTests.get)
        let report = await server.server.drain(deadline: EventLoop.shared.now + .seconds(5))
        #expect(report == HTTPServer.DrainReport(answered: 2, forced: 0))
        return late
    }

    @Test(
        "a client that is still reading gets all its answers, and is let go then",
        arguments: [("/huge", 1), ("/large", 40)])
    func finishesWriting(_ path: String, _ count: Int) async throws {
        try await withServer { server in
            let port = server.port
            let client = try await ConversationTests.blockedClient(server, path, count: count)
            async let report = server.server.drain(deadline: EventLoop.shared.now + .seconds(30))
            // The listener is gone once the drain has begun.
            try await offLoop { while (try? TestClient(port: port)) != nil {} }
            try await offLoop {
                for _ in 0..<count {
                    let status = try client.reply().status
                    #expect(status == 200)
                }
                let isEnded = try client.isEnded()
                #expect(isEnded)
            }
            let forced = await report.forced
            #expect(forced == 0)
            #expect(await server.events.closes.last == .drained)
        }
    }

    @Test("a server without connections leaves at once, also when asked twice")
    func nothingToDo() async throws {
        try await withServer { server in
            async let first = server.server.drain(deadline: EventLoop.shared.now + .seconds(5))
            async let second = server.server.drain(deadline: EventLoop.shared.now + .seconds(5))
            let reports = await [first, second]
            #expect(reports == Array(repeating: HTTPServer.DrainReport(answered: 0, forced: 0), count: 2))
            #expect(await server.server.addresses.isEmpty)
        }
    }
}
