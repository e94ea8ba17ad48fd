import DispatchLoop
import PostgresSession
import PostgresTestKit
import Testing

@testable import DispatchPostgres

@LoopActor
@Suite(.timeLimit(.minutes(3))) struct SubscriptionTests {
    /// Reads until an event is wanted.
    private func first(
        in events: inout Subscription.Iterator, where isWanted: (SubscriptionEvent) -> Bool
    ) async throws -> SubscriptionEvent {
        while let event = await events.next() {
            if isWanted(event) { return event }
        }
        throw Ended()
    }

    private struct Ended: Error {}

    @Test("a subscription hears what is sent after it says that it listens, in order")
    func hears() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, _ in
            let subscription = try pool.subscribe(to: "My \"News\"")
            var events = subscription.makeAsyncIterator()
            #expect(await events.next() == .listening)
            let sql = "select pg_notify('My \"News\"', i::text) from generate_series(1, 3) i"
            _ = try await sandbox.execute(sql, database: "mydb")
            for expected in ["1", "2", "3"] {
                guard case .notification(let notification) = await events.next() else {
                    Issue.record("expected notification \(expected)")
                    return
                }
                #expect(notification.payload == expected)
                #expect(notification.channel == "My \"News\"")
            }
        }
    }

    @Test("after an outage it listens again on the new connection, and tells of the gap")
    func comesBack() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            try await withPool(sandbox.connectionURL(), { $0.outageGrace = .seconds(2) }) { pool, _ in
                let subscription = try pool.subscribe(to: "news")
                var events = subscription.makeAsyncIterator()
                #expect(await events.next() == .listening)
                try await sandbox.stop(.immediate)
                try await eventually("down") { pool.snapshot.health == .down }
                try await sandbox.start()
                guard case .gap(.disconnected(let duration)) = await events.next() else {
                    Issue.record("expected to be told of the gap")
                    return
                }
                #expect(duration > .zero)
                _ = try await sandbox.execute("notify news, 'after'", database: "mydb")
                let event = try await first(in: &events) { if case .notification = $0 { true } else { false } }
                guard case .notification(let notification) = event else { return }
                #expect(notification.payload == "after")
            }
        }
    }

    @Test("a firewall that forgets the listening connection is found out by the sign of life that is asked for")
    func forgotten() async throws {
        let sandbox = try await SharedSandbox.get()
        let relay = try FaultRelay(to: sandbox.port)
        try await withPool(sandbox.connectionURL(port: relay.port), { $0.keepalive = .milliseconds(100) }) { pool, _ in
            let subscription = try pool.subscribe(to: "news")
            var events = subscription.makeAsyncIterator()
            #expect(await events.next() == .listening)
            relay.forgetAll()
            guard case .gap(.disconnected) = await events.next() else {
                Issue.record("expected to be told of the gap")
                return
            }
        }
        await relay.shutDown()
    }

    @Test("all subscriptions share one connection, which is closed when the last is dropped")
    func shared() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, recorder in
            do {
                let subscriptions = try ["a", "b", "b"].map { try pool.subscribe(to: $0) }
                for subscription in subscriptions {
                    var events = subscription.makeAsyncIterator()
                    #expect(await events.next() == .listening)
                }
                #expect(pool.snapshot.leased == 1)
            }
            try await eventually("nothing is leased") { pool.snapshot.leased == 0 }
            #expect(recorder.reasons.contains(.unsubscribed))
        }
    }

    @Test("closing the pool ends the sequence, and so does cancelling its reader")
    func ends() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, _ in
            let subscription = try pool.subscribe(to: "news")
            let cancelled = Task {
                var count = 0
                for await _ in subscription { count += 1 }
                return count
            }
            try await eventually("a connection listens") { pool.snapshot.leased == 1 }
            cancelled.cancel()
            _ = await cancelled.value
            let reading = Task { for await _ in subscription {} }
            await pool.close(deadline: .now() + .seconds(5))
            await reading.value
        }
    }

    @Test("a reader that is too slow loses the oldest, and is told how many")
    func overflow() async {
        let buffer = SubscriptionBuffer()
        for index in 0..<SubscriptionBuffer.limit + 5 {
            buffer.push(.notification(Notification(channel: "c", payload: "\(index)", processID: 1)))
        }
        #expect(await buffer.next() == .gap(.overflow(5)))
        #expect(await buffer.next() == .notification(Notification(channel: "c", payload: "5", processID: 1)))
    }

    @Test(
        "names that the server would cut off or not take are refused",
        arguments: ["", String(repeating: "x", count: 64), "a\0b"])
    func names(name: String) async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, _ in
            #expect(throws: PostgresError.self) { try pool.subscribe(to: name) }
        }
    }
}

@LoopActor
@Suite(.timeLimit(.minutes(3))) struct CancelAtServerTests {
    @Test("a query given up at its deadline is stopped at the server")
    func cancelled() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL(), { $0.minimum = 2 }) { pool, _ in
            let connection = try await pool.checkOut(deadline: soon)
            defer { pool.release(connection) }
            let error = await #expect(throws: PostgresError.self) {
                try await connection.query("select 'given up', pg_sleep(60)", deadline: .now() + .milliseconds(100))
            }
            #expect(error?.code == PostgresError.Code.queryTimeout)
            let running =
                "select count(*) from pg_stat_activity where state = 'active' and query like '%given up%pg_sleep%' "
                + "and pid <> pg_backend_pid()"
            try await eventually("it no longer runs") { try await sandbox.execute(running) == "0" }
        }
    }
}
