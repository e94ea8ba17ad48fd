import DispatchLoop
import PostgresSession
import PostgresTestKit
import Testing

@testable import DispatchPostgres

@LoopActor
@Suite(.timeLimit(.minutes(3))) struct SubscriptionTests {
    /// Reads until an event matches.
    private func first(
        in events: inout Subscription.Iterator, where isWanted: (SubscriptionEvent) -> Bool
    ) async throws -> SubscriptionEvent {
        while let event = await events.next() {
            if isWanted(event) { return event }
        }
        throw Ended()
    }

    private struct Ended: Error {}

    @Test("a subscription receives in order what is sent after `listening`")
    func receives() async throws {
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

    @Test("after an outage it listens on the new connection, and reports the gap")
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
                    Issue.record("expected a gap")
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

    @Test("the keepalive notices that a firewall has forgotten the listening connection")
    func forgotten() async throws {
        let sandbox = try await SharedSandbox.get()
        let relay = try FaultRelay(to: sandbox.port)
        try await withPool(sandbox.connectionURL(port: relay.port), { $0.keepalive = .milliseconds(100) }) { pool, _ in
            let subscription = try pool.subscribe(to: "news")
            var events = subscription.makeAsyncIterator()
            #expect(await events.next() == .listening)
            relay.forgetAll()
            guard case .gap(.disconnected) = await events.next() else {
                Issue.record("expected a gap")
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

    @Test("at the end of its lifetime the listening session hands over; no notification is lost or repeated")
    func handsOver() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL(), { $0.maximumLifetime = .seconds(1) }) { pool, recorder in
            let subscription = try pool.subscribe(to: "ticks")
            let reader = Task {
                var events: [SubscriptionEvent] = []
                for await event in subscription {
                    events.append(event)
                    if case .notification(let notification) = event, notification.payload == "end" { break }
                }
                return events
            }
            var backends: [Int32] = []
            var sent = 0
            let deadline = soon
            while backends.count < 3, MonotonicTime.now() < deadline {
                if let index = pool.machine.slots.slots.firstIndex(where: \.isPinned),
                    let backend = pool.connections[index]?.backendProcessID, !backends.contains(backend)
                {
                    backends.append(backend)
                }
                // A notification sent before the server has confirmed LISTEN does not arrive.
                if sent > 0 || pool.machine.slots.pinnedCount > 0 {
                    try await notify(pool, "ticks", "\(sent)")
                    sent += 1
                }
                await Task.yield()
            }
            try await notify(pool, "ticks", "end")
            let events = await reader.value
            #expect(backends.count == 3, "the backend changed twice")
            let payloads = events.compactMap { event -> Int? in
                if case .notification(let notification) = event { Int(notification.payload) } else { nil }
            }
            let first = try #require(payloads.first)
            #expect(payloads == Array(first..<sent))
            #expect(events.allSatisfy { if case .gap = $0 { false } else { true } })
            #expect(!recorder.reasons.contains(.unsubscribed))
            withExtendedLifetime(subscription) {}
        }
    }

    private func notify(_ pool: PostgresPool, _ channel: String, _ payload: String) async throws {
        _ = try await pool.withConnection(deadline: soon) {
            try await $0.query("select pg_notify($1, $2)", parameters: [channel, payload], deadline: soon)
        }
    }

    @Test("a pool of one connection replaces the listening session with a gap")
    func handsOverAlone() async throws {
        let sandbox = try await SharedSandbox.get()
        let change: (inout PoolSettings) -> Void = {
            $0.maximum = 1
            $0.maximumLifetime = .milliseconds(200)
        }
        try await withPool(sandbox.connectionURL(), change) { pool, recorder in
            let subscription = try pool.subscribe(to: "news")
            var events = subscription.makeAsyncIterator()
            #expect(await events.next() == .listening)
            guard case .gap(.disconnected) = await events.next() else {
                Issue.record("expected a gap")
                return
            }
            #expect(recorder.reasons.contains(.lifetime))
        }
    }

    @Test("a standby refuses LISTEN: the close reason and the error say so, and the hub backs off")
    func refused() async throws {
        try await PostgresSandbox.withSandbox { primary in
            let standby = try await PostgresSandbox.makeStandby(of: primary)
            try await standby.start()
            try await withPool(standby.connectionURL()) { pool, recorder in
                let subscription = try pool.subscribe(to: "news")
                var refusals: [MonotonicTime] = []
                for _ in 0..<3 {
                    let refusal = recorder.watch {
                        if case .closed(_, .listenRefused, let error) = $0 { error?.code == "25006" } else { false }
                    }
                    await refusal.happened()
                    refusals.append(.now())
                }
                #expect(refusals[1] - refusals[0] > .milliseconds(900))
                #expect(refusals[2] - refusals[1] > .milliseconds(1_900))
                #expect(pool.snapshot.health == .up)
                withExtendedLifetime(subscription) {}
            }
            try await standby.remove()
        }
    }

    @Test("a subscriber is told once that LISTEN is refused, and then that it listens")
    func refusedThenListening() async throws {
        try await PostgresSandbox.withSandbox { primary in
            let standby = try await PostgresSandbox.makeStandby(of: primary)
            try await standby.start()
            try await withPool(standby.connectionURL()) { pool, recorder in
                let subscription = try pool.subscribe(to: "news")
                var events = subscription.makeAsyncIterator()
                guard case .gap(.refused(let error)) = await events.next() else {
                    Issue.record("expected a refusal")
                    return
                }
                #expect(error.code == "25006" && error.message.contains("LISTEN"))
                let again = recorder.watch { if case .closed(_, .listenRefused, _) = $0 { true } else { false } }
                await again.happened()
                try await standby.promote()
                #expect(await events.next() == .listening)
            }
            try await standby.remove()
        }
    }

    @Test("a listening session of a retired generation is replaced, with a gap, when the database is up again")
    func retired() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, recorder in
            let subscription = try pool.subscribe(to: "news")
            var events = subscription.makeAsyncIterator()
            #expect(await events.next() == .listening)
            @LoopActor func listener() -> Int32? {
                let index = pool.machine.slots.slots.firstIndex(where: \.isPinned)
                return index.flatMap { pool.connections[$0]?.backendProcessID }
            }
            let old = listener()
            pool.apply {
                $0.retireGeneration(at: $1)
                $0.becomeSuspect(PoolMachine.silenceCause, at: $1)
            }
            guard case .gap(.disconnected) = await events.next() else {
                Issue.record("expected a gap")
                return
            }
            let new = listener()
            #expect(old != nil && new != nil && old != new)
            #expect(recorder.reasons.contains(.retired))
            try await notify(pool, "news", "after")
            guard case .notification(let notification) = await events.next() else {
                Issue.record("expected a notification")
                return
            }
            #expect(notification.payload == "after" && notification.channel == "news")
        }
    }

    @Test("closing the pool or cancelling the reader ends the sequence")
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

    @Test("a slow reader loses the oldest events, and learns how many")
    func overflow() async {
        let buffer = SubscriptionBuffer()
        for index in 0..<SubscriptionBuffer.limit + 5 {
            buffer.push(.notification(Notification(channel: "c", payload: "\(index)", processID: 1)))
        }
        #expect(await buffer.next() == .gap(.overflow(5)))
        #expect(await buffer.next() == .notification(Notification(channel: "c", payload: "5", processID: 1)))
    }

    @Test(
        "names that the server would truncate or reject are refused",
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
    @Test("a query past its deadline is cancelled at the server")
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
