import DispatchLoop
import PostgresSession
import PostgresTestKit
import Testing

@testable import DispatchPostgres

/// Counts abandoned statements at the server.
@LoopActor
@Suite(.timeLimit(.minutes(3))) struct AbandonedStatementTests {
    private static let sessions =
        "select count(*) from pg_stat_activity where backend_type = 'client backend' and application_name = 'given-up'"

    /// Counts sessions at the server until `stop`, and keeps the maximum.
    @LoopActor
    private final class SessionWatch {
        private(set) var most = 0
        private var task: Task<Void, Never>?

        init(_ sandbox: PostgresSandbox) {
            task = Task { [weak self] in
                while !Task.isCancelled {
                    let count = (try? await sandbox.execute(AbandonedStatementTests.sessions)).flatMap { Int($0) } ?? 0
                    guard let self else { return }
                    most = max(most, count)
                }
            }
        }

        func stop() { task?.cancel() }
    }

    @Test(
        "readers that wait for a locked table until their deadlines leave no extra session at the server",
        arguments: [1, 4])
    func lockedTable(maximum: Int) async throws {
        let sandbox = try await SharedSandbox.get()
        let table = "locked_\(maximum)"
        _ = try await sandbox.execute("create table if not exists \(table) (i int)", database: "mydb")
        let url = sandbox.connectionURL(parameters: ["application_name": "given-up"])
        try await withPool(url, { $0.maximum = maximum }) { pool, recorder in
            try await ping(pool)
            let other = PostgresPool(ConnectionConfiguration(sandbox.connectionURL()))
            other.start()
            let locker = try await other.checkOut(deadline: soon)
            _ = try await locker.query("begin; lock table \(table) in access exclusive mode", deadline: soon)
            let watch = SessionWatch(sandbox)
            for _ in 0..<3 {
                await withTaskGroup { group in
                    for _ in 0..<2 * maximum {
                        group.addTask {
                            await #expect(throws: (any Error).self) {
                                try await pool.withConnection(deadline: .now() + .milliseconds(400)) {
                                    try await $0.query(
                                        "select * from \(table)", deadline: .now() + .milliseconds(400))
                                }
                            }
                        }
                    }
                }
            }
            watch.stop()
            // One extra: an ending session briefly overlaps its successor.
            #expect(watch.most <= maximum + 1)
            _ = try await locker.query("rollback", deadline: soon)
            other.release(locker)
            await other.close(deadline: soon)
            #expect(
                !recorder.events.contains { if case .healthChanged(_, .suspect, _, _) = $0 { true } else { false } })
            try await eventually("all slots are free again") { pool.snapshot.givenUp == 0 }
            #expect(!recorder.reasons.contains(.resetFailed), "57014 came soon: the pool kept the sessions")
            try await ping(pool)
        }
    }

    @Test("cancelled queries are cancelled at the server at once, and their sessions are reused")
    func cancelled() async throws {
        let sandbox = try await SharedSandbox.get()
        let url = sandbox.connectionURL(parameters: ["application_name": "given-up"])
        try await withPool(url, { $0.maximum = 3 }) { pool, recorder in
            try await ping(pool)
            let watch = SessionWatch(sandbox)
            for _ in 0..<5 {
                let tasks = (0..<3).map { _ in
                    Task {
                        try await pool.withConnection(deadline: soon) {
                            try await $0.query("select pg_sleep(60)", deadline: soon)
                        }
                    }
                }
                let running =
                    "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active'"
                try await eventually("all run") { try await sandbox.execute(running) == "3" }
                for task in tasks { task.cancel() }
                for task in tasks { await #expect(throws: (any Error).self) { try await task.value } }
                try await eventually("none runs") { try await sandbox.execute(running) == "0" }
                try await ping(pool)
            }
            watch.stop()
            #expect(watch.most <= 4)
            #expect(!recorder.reasons.contains(.resetFailed))
        }
    }

    @Test("a late cancel request does not stop the session's next statement")
    func lateCancel() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL(), { $0.maximum = 1 }) { pool, _ in
            try await ping(pool)
            for turn in 0..<150 {
                let task = Task {
                    try await pool.withConnection(deadline: soon) {
                        try await $0.query("select pg_sleep(0.002)", deadline: soon)
                    }
                }
                // The delay grows, so a cancellation comes before, at or after the end of the statement.
                try await ContinuousClock().sleep(for: .microseconds(turn * 30))
                task.cancel()
                _ = await task.result
                try await pool.withConnection(deadline: soon) {
                    _ = try await $0.query("select pg_sleep(0.001)", deadline: soon)
                }
            }
        }
    }
}
