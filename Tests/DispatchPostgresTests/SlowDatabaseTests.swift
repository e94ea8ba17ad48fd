import DispatchLoop
import PostgresSession
import PostgresTestKit
import Testing

@testable import DispatchPostgres

/// A slow server behind a relay.
@LoopActor
@Suite(.timeLimit(.minutes(3))) struct SlowDatabaseTests {
    @Test(
        "a server that answers within the deadline is up: no query fails, no connection is closed, the pool stays up",
        arguments: [310, 600])
    func delayed(milliseconds: Int) async throws {
        let sandbox = try await SharedSandbox.get()
        let relay = try FaultRelay(to: sandbox.port)
        try await withPool(sandbox.connectionURL(port: relay.port), { $0.minimum = 4 }) { pool, recorder in
            for _ in 0..<100 { try await ping(pool) }
            try await eventually("four idle connections") { pool.snapshot.idle == 4 }
            let before = recorder.events.count
            relay.behave(RelayBehaviour(toClient: .delayed(.milliseconds(milliseconds))))
            try await withThrowingTaskGroup { group in
                for _ in 0..<3 {
                    group.addTask { for _ in 0..<4 { try await ping(pool) } }
                }
                try await group.waitForAll()
            }
            let unwanted = recorder.events[before...].filter { event in
                switch event {
                case .healthChanged, .causeChanged, .connectFailed, .growthFailed, .closed: true
                default: false
                }
            }
            #expect(unwanted.isEmpty)
            #expect(pool.snapshot.silenceLimit > .milliseconds(milliseconds))
            #expect(recorder.events.count { $0 == .hedged } <= 5)
        }
        await relay.shutDown()
    }

    @Test("five slow idempotent reads are executed five times")
    func slowReads() async throws {
        let sandbox = try await SharedSandbox.get()
        _ = try await sandbox.execute("create sequence if not exists executions", database: "mydb")
        try await withPool(sandbox.connectionURL()) { pool, recorder in
            try await withThrowingTaskGroup { group in
                for _ in 0..<5 {
                    group.addTask {
                        try await pool.withConnection(deadline: soon) {
                            _ = try await $0.query(
                                "select nextval('executions'), pg_sleep(1.5)", isIdempotent: true, deadline: soon)
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await sandbox.execute("select last_value from executions", database: "mydb") == "5")
            #expect(recorder.retries == 0)
        }
    }

    @Test("one answer of many seconds does not change the limits")
    func outlier() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, _ in
            for _ in 0..<10 { try await ping(pool) }
            let before = pool.snapshot.silenceLimit
            try await pool.withConnection(deadline: soon) {
                _ = try await $0.query("select pg_sleep(2)", deadline: soon)
            }
            try await ping(pool)
            #expect(pool.snapshot.silenceLimit == before)
        }
    }
}
