import DispatchHTTP
import DispatchLoop
import Testing

@Suite("graceful shutdown", .timeLimit(.minutes(1)))
struct DrainTests {
    /// Waits until the listener is closed, so that the drain has begun.
    private static func drainBegins(_ port: UInt16) async throws {
        try await offLoop { while (try? TestClient(port: port)) != nil {} }
    }

    @Test("a drain answers requests in flight with Connection: close, closes idle connections and refuses new ones")
    func answersWhatIsInFlight() async throws {
        try await withServer({ $0.timeouts.drainGrace = .zero }) { server in
            let port = server.port
            let (idle, busy) = try await offLoop {
                let idle = try TestClient.afterOneAnswer(port: port)
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
            for client in busy { client.close() }
            let drained = await report
            #expect(drained == HTTPServer.DrainReport(answered: 16, forced: 0))
            #expect(await server.events.closes(17) == Array(repeating: .drained, count: 17))
        }
    }

    @Test("at the deadline the remaining connections close, and their handlers are cancelled")
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

    @Test("a request that has arrived on an idle or unaccepted connection is answered")
    func answersWhatHasArrived() async throws {
        try await withServer({ $0.timeouts.linger = .milliseconds(20) }) { server in
            let port = server.port
            // Two requests arrive while the loop is blocked, on an idle and on a new connection. Then the server
            // drains.
            let idle = try await offLoop { try TestClient.afterOneAnswer(port: port) }
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
        "a client that still reads gets all its responses before the close",
        arguments: [("/huge", 1), ("/large", 40)])
    func finishesWriting(_ path: String, _ count: Int) async throws {
        try await withServer { server in
            let port = server.port
            let client = try await ConversationTests.blockedClient(server, path, count: count)
            async let report = server.server.drain(deadline: EventLoop.shared.now + .seconds(30))
            try await Self.drainBegins(port)
            try await offLoop {
                // The first response that begins after the drain announces the close; earlier ones still arrive without
                // it.
                var isLast = count == 1
                var answers = 0
                while !isLast || answers == 0 {
                    let reply = try client.reply()
                    #expect(reply.status == 200)
                    answers += 1
                    if reply.fields["connection"] == "close" { isLast = true }
                }
                #expect(answers <= count)
                let isEnded = try client.isEnded()
                #expect(isEnded, "bytes followed the last response")
                client.close()
            }
            let forced = await report.forced
            #expect(forced == 0)
            #expect(await server.events.closes.last == .drained)
        }
    }

    @Test("a server without connections shuts down at once, also with two callers")
    func nothingToDo() async throws {
        try await withServer { server in
            async let first = server.server.drain(deadline: EventLoop.shared.now + .seconds(5))
            async let second = server.server.drain(deadline: EventLoop.shared.now + .seconds(5))
            let reports = await [first, second]
            #expect(reports == Array(repeating: HTTPServer.DrainReport(answered: 0, forced: 0), count: 2))
            #expect(await server.server.addresses.isEmpty)
        }
    }

    @Test("an idle connection stays open for one request, whose response announces the close")
    func tellsIdleOnes() async throws {
        try await withServer({ $0.timeouts.drainGrace = .seconds(60) }) { server in
            let port = server.port
            let client = try await offLoop { try TestClient.afterOneAnswer(port: port) }
            async let report = server.server.drain(deadline: EventLoop.shared.now + .seconds(30))
            try await Self.drainBegins(port)
            let reply = try await offLoop {
                try client.send(ConversationTests.get)
                let reply = try client.reply()
                let isEnded = try client.isEnded()
                #expect(isEnded)
                client.close()
                return reply
            }
            #expect(reply.body == "hello")
            #expect(reply.fields["connection"] == "close")
            #expect(await report == HTTPServer.DrainReport(answered: 1, forced: 0))
        }
    }

    @Test("an idle connection that closes at the deadline does not count as forced")
    func idleAtTheDeadline() async throws {
        try await withServer({ $0.timeouts.drainGrace = .seconds(60) }) { server in
            let port = server.port
            let client = try await offLoop { try TestClient.afterOneAnswer(port: port) }
            let report = await server.server.drain(deadline: EventLoop.shared.now + .milliseconds(30))
            #expect(report == HTTPServer.DrainReport(answered: 0, forced: 0))
            #expect(await server.events.closes(1) == [.drained])
            #expect(try await offLoop { try client.isEnded() })
        }
    }

    @Test("half a request header delays the drain by grace and linger, not by the header timeout")
    func halfAHeader() async throws {
        try await withServer({ $0.timeouts.linger = .milliseconds(20) }) { server in
            let port = server.port
            let client = try await offLoop {
                let client = try TestClient(port: port)
                try client.send("GET / HTTP/1.1\r\nHo")
                return client
            }
            while await server.server.headCount == 0 { await Task.yield() }
            let start = MonotonicTime.now()
            let report = await server.server.drain(deadline: start + .seconds(30))
            #expect(report == HTTPServer.DrainReport(answered: 0, forced: 0))
            #expect(MonotonicTime.now() - start < .seconds(5), "the header timeout is 10 s")
            #expect(await server.events.closes(1) == [.drained])
            let reply = try await offLoop { try client.reply() }
            #expect(reply.status == 408)
            #expect(reply.fields["connection"] == "close")
        }
    }

    @Test("half a request does not delay the drain beyond the deadline")
    func halfARequest() async throws {
        try await withServer({ $0.timeouts.drainGrace = .seconds(60) }) { server in
            let port = server.port
            let client = try await offLoop {
                let client = try TestClient(port: port)
                try client.send("GET / HTTP/1.1\r\nHo")
                return client
            }
            while await server.server.headCount == 0 { await Task.yield() }
            let report = await server.server.drain(deadline: EventLoop.shared.now + .milliseconds(30))
            #expect(report == HTTPServer.DrainReport(answered: 0, forced: 1))
            #expect(try await offLoop { try client.isEnded() })
        }
    }

    @Test("after the announcement each response says Connection: close, and new connections are served")
    func announced() async throws {
        try await withServer { server in
            let port = server.port
            let old = try await offLoop { try TestClient.afterOneAnswer(port: port) }
            await server.server.announceDrain()
            let replies = try await offLoop {
                let new = try TestClient(port: port)
                return try [old, new].map { client in
                    try client.send(ConversationTests.get)
                    return try client.reply()
                }
            }
            #expect(replies.map(\.body) == ["hello", "hello"])
            #expect(replies.map(\.fields["connection"]) == ["close", "close"])
        }
    }

    @Test("during the delay clients are served with Connection: close; a second drain can end it")
    func delay() async throws {
        try await withServer { server in
            let port = server.port
            let old = try await offLoop { try TestClient.afterOneAnswer(port: port) }
            let hasBegun = HasBegun()
            async let first = server.server.drain(delay: .seconds(3600), deadline: .now() + .seconds(7200)) {
                hasBegun.count += 1
            }
            while await !server.server.isDraining { await Task.yield() }
            let replies = try await offLoop {
                let new = try TestClient(port: port)
                return try [old, new].map { client in
                    try client.send(ConversationTests.get)
                    return try client.reply()
                }
            }
            #expect(replies.map(\.fields["connection"]) == ["close", "close"])
            await #expect(hasBegun.count == 0)
            let second = await server.server.drain(deadline: .now() + .seconds(30)) { hasBegun.count += 1 }
            #expect(await first.forced == 0 && second.forced == 0)
            await #expect(hasBegun.count == 2)
            #expect(throws: (any Error).self) { try TestClient(port: port) }
        }
    }

    @LoopActor
    private final class HasBegun {
        var count = 0
        nonisolated init() {}
    }

    @Test("a client that pipelines without a pause gets all responses up to Connection: close, and no reset")
    func pipelining() async throws {
        try await withServer { server in
            let port = server.port
            let client = try TestClient(port: port)
            let sending = Task {
                try await offLoop {
                    let many = String(repeating: ConversationTests.get, count: 500)
                    while (try? client.send(many)) != nil {}
                }
            }
            await server.events.until { $0.statuses.count >= 100 }
            async let report = server.server.drain(deadline: EventLoop.shared.now + .seconds(30))
            try await offLoop {
                while try client.reply().fields["connection"] != "close" {}
                let isEnded = try client.isEnded()
                #expect(isEnded, "bytes followed the last response")
                client.reset()
            }
            try await sending.value
            #expect(await report.forced == 0)
        }
    }
}
