import PostgresClient
import PostgresTestKit
import Synchronization
import Testing

/// What a lease leaves behind.
@Suite("connections that come back", .timeLimit(.minutes(2)))
struct ResetTests {
    private static let leftovers = """
        select to_regclass('pg_temp.left_behind') is not null,
            (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()) = 1,
            current_setting('statement_timeout') = '12345ms', pg_backend_pid()
        """

    /// Leases the only connection, leaves things behind, and returns which of them the next lease finds.
    private func left(
        _ reset: PostgresClient.SessionReset, _ change: (inout PostgresClient.Settings) -> Void = { _ in }
    ) async throws -> (table: Bool, lock: Bool, setting: Bool) {
        try await withSharedClient({
            $0.pool.maximum = 1
            $0.resetOnReturn = reset
            change(&$0)
        }) { client in
            let first = try await client.withConnection { connection in
                _ = try await connection.query("create temp table left_behind (n int)")
                _ = try await connection.query("select pg_advisory_lock(\(Int64.random(in: 1 ... .max)))")
                _ = try await connection.query("set statement_timeout = 12345")
                _ = try await connection.query("begin")
                return try await connection.query("select pg_backend_pid()").decodeOne(Int.self)
            }
            let (table, lock, setting, second) = try await client.query(SQLStatement(unescaped: Self.leftovers))
                .decodeOne((Bool, Bool, Bool, Int).self)
            #expect(first == second, "the session is the same")
            let pinned = try await client.query(
                "select current_setting('timezone'), current_setting('intervalstyle'), current_setting('bytea_output')"
            ).decodeOne((String, String, String).self)
            #expect(pinned == ("UTC", "iso_8601", "hex"))
            return (table, lock, setting)
        }
    }

    @Test("rollBackOnly leaves all but the transaction")
    func rollBackOnly() async throws {
        #expect(try await left(.rollBackOnly) == (true, true, true))
    }

    @Test("discardAll leaves nothing, and what the log-in pins")
    func discardAll() async throws {
        #expect(try await left(.discardAll) == (false, false, false))
    }

    @Test("a statement of one's own does what it says")
    func statement() async throws {
        #expect(try await left(.statement("reset statement_timeout; discard temp")) == (false, true, false))
    }

    @Test("after discardAll, prepared statements are prepared again, as often as it takes")
    func prepared() async throws {
        try await withSharedClient({
            $0.pool.maximum = 1
            $0.resetOnReturn = .discardAll
        }) { client in
            for number in 0..<10 {
                let read = try await client.withConnection { connection in
                    _ = try await connection.query("select \(number)").decodeOne(Int.self)
                    return try await connection.query("select \(number)").decodeOne(Int.self)
                }
                #expect(read == number)
            }
            let count = try await client.withConnection { connection in
                _ = try await connection.query("select \(1)")
                return try await connection.query("select count(*) from pg_prepared_statements").decodeOne(Int.self)
            }
            #expect(count == 1, "the session still prepares")
        }
    }

    @Test("discardAll undoes what onConnect did, so that it runs again before the next lease")
    func setUpAgain() async throws {
        let calls = Atomic(0)
        let left = try await left(.discardAll) {
            $0.onConnect = { connection in
                calls.add(1, ordering: .relaxed)
                _ = try await connection.query("set statement_timeout = 12345")
            }
        }
        #expect(left == (false, false, true))
        #expect(calls.load(ordering: .relaxed) >= 2)
    }

    @Test("a session whose reset fails is replaced", arguments: ["select 1 / 0", "begin", "select pg_sleep(600)"])
    func fails(sql: String) async throws {
        try await withSharedClient({
            $0.pool.maximum = 1
            $0.resetOnReturn = .statement(sql)
        }) { client in
            let first = try await client.query("select pg_backend_pid()").decodeOne(Int.self)
            let second = try await client.query("select pg_backend_pid()").decodeOne(Int.self)
            #expect(first != second)
        }
    }
}
