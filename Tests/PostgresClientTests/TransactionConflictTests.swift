import DispatchLoop
import PostgresClient
import PostgresTestKit
import Testing

/// Real conflicts, cancellation and lost sessions.
@Suite(.timeLimit(.minutes(2))) struct TransactionConflictTests {
    private func withTable(
        _ name: String = #function, _ change: (inout PostgresClient.Settings) -> Void = { _ in },
        _ body: (PostgresClient, SQLStatement.Table) async throws -> Void
    ) async throws {
        let table = SQLStatement.Table("c_" + name.prefix { $0 != "(" })
        try await withSharedClient(change) { client in
            _ = try await client.query(
                "create table \(table) (id bigint primary key, value bigint); insert into \(table) values (1, 0), (2, 0)"
            )
            try await body(client, table)
        }
    }

    private func values(_ client: PostgresClient, _ table: SQLStatement.Table) async throws -> [Int] {
        try await client.query("select value from \(table) order by id").decode(Int.self)
    }

    /// Reads, lets another session change the row in the first run, and writes: 40001 in the first run.
    private func conflict(
        _ client: PostgresClient, _ table: SQLStatement.Table, retry: TransactionRetry,
        wrap: @Sendable (any Error) -> any Error = { $0 }
    ) async throws -> Int {
        var runs = 0
        return try await client.withTransaction(isolation: .repeatableRead, retry: retry) { transaction in
            runs += 1
            let value = try await transaction.query("select value from \(table) where id = 1").decodeOne(Int.self)
            if runs == 1 { _ = try await client.query("update \(table) set value = value + 10 where id = 1") }
            do {
                _ = try await transaction.query("update \(table) set value = \(value + 1) where id = 1")
            } catch { throw wrap(error) }
            return runs
        }
    }

    @Test("a serialization failure runs again, if the caller says so")
    func serialization() async throws {
        try await withTable { client, table in
            let read = try await conflict(client, table, retry: .upTo(1))
            #expect(read == 2)
            let readAgain = try await values(client, table)
            #expect(readAgain == [11, 0])
            let error = await #expect(throws: PostgresClientError.self) {
                try await conflict(client, table, retry: .never)
            }
            #expect(error?.sqlState == .serializationFailure)
            #expect(error?.isSafeToRetry == true)
            let readLast = try await values(client, table)
            #expect(readLast == [21, 0])
        }
    }

    @Test("also when the body puts the error into one of its own")
    func wrapped() async throws {
        struct Own: Error {}
        try await withTable { client, table in
            let readOther = try await conflict(client, table, retry: .upTo(1), wrap: { _ in Own() })
            #expect(readOther == 2)
        }
    }

    @Test("a deadlock runs again, if the caller says so")
    func deadlock() async throws {
        try await withTable { client, table in
            let hasFirst = [Latch(), Latch()]
            let runs = Locked(0)
            try await withThrowingTaskGroup { group in
                for task in 0..<2 {
                    group.addTask {
                        try await client.withTransaction(retry: .upTo(3)) { transaction in
                            runs.withLock { $0 += 1 }
                            // Each locks the row that the other one wants.
                            for step in 0..<2 {
                                let id = (task + step) % 2 + 1
                                _ = try await transaction.query(
                                    "update \(table) set value = value + 1 where id = \(id)")
                                if step == 0 {
                                    await hasFirst[task].open()
                                    await hasFirst[1 - task].wait()
                                }
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await values(client, table) == [2, 2])
            #expect(runs.withLock { $0 } >= 3)
        }
    }

    @Test("cancelling rolls back, in mid-statement and between statements", arguments: [true, false])
    func cancellation(inStatement: Bool) async throws {
        try await withTable("cancellation\(inStatement)") { client, table in
            let isInside = Latch()
            let task = Task {
                try await client.withTransaction { transaction in
                    _ = try await transaction.query("update \(table) set value = 7")
                    await isInside.open()
                    if inStatement { _ = try await transaction.query("select pg_sleep(60)") }
                    while !Task.isCancelled { await Task.yield() }
                }
            }
            await isInside.wait()
            if inStatement {
                try await eventually("it sleeps") {
                    try await client.query(
                        "select count(*) from pg_stat_activity where query = 'select pg_sleep(60)' and state = 'active'"
                    ).decodeOne(Int.self) > 0
                }
            }
            task.cancel()
            do {
                try await task.value
                Issue.record("expected an error")
            } catch {
                #expect((error as? PostgresClientError)?.kind == .cancelled || error is CancellationError)
            }
            // Nobody holds the rows' locks.
            _ = try await client.query("update \(table) set value = value + 1", timeout: .seconds(15))
            #expect(try await values(client, table) == [1, 1])
        }
    }

    @Test("BEGIN moves to another session when its own is gone")
    func beginMoves() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withTable("beginMoves", { $0.pool.maximum = 2 }) { client, table in
            for _ in 0..<20 {
                let pid = try await client.query("select pg_backend_pid()", isIdempotent: true).decodeOne(Int.self)
                _ = try await sandbox.execute("select pg_terminate_backend(\(pid))")
                try await client.withTransaction { transaction in
                    _ = try await transaction.query("update \(table) set value = value + 1 where id = 1")
                }
            }
            #expect(try await values(client, table) == [20, 0])
        }
    }

    @Test("a transaction whose session is lost never goes on on another one", arguments: [true, false])
    func lost(isSwallowed: Bool) async throws {
        let sandbox = try await SharedSandbox.get()
        try await withTable("lost\(isSwallowed)") { client, table in
            var runs = 0
            let error = await #expect(throws: PostgresClientError.self) {
                try await client.withTransaction(retry: .upTo(3)) { transaction in
                    runs += 1
                    let pid = try await transaction.query("select pg_backend_pid()").decodeOne(Int.self)
                    _ = try await transaction.query("update \(table) set value = 7")
                    _ = try await sandbox.execute("select pg_terminate_backend(\(pid))")
                    for _ in 0..<3 {
                        do {
                            _ = try await transaction.query("update \(table) set value = 8")
                            Issue.record("went on")
                        } catch { if !isSwallowed { throw error } }
                    }
                }
            }
            #expect(error?.kind == .connectionLost)
            #expect(error?.isSafeToRetry == true)
            #expect(runs == 1, "only conflicts run again")
            let readThen = try await values(client, table)
            #expect(readThen == [0, 0])
        }
    }
}
