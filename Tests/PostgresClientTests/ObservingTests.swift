import DispatchLoop
import PostgresTestKit
import Testing

@testable import PostgresClient

/// Collects what a hook is told.
private actor Collector<Value: Sendable> {
    private(set) var values: [Value] = []
    func append(_ value: Value) { values.append(value) }
}

@Suite("notices and statements that are told of", .timeLimit(.minutes(2)))
struct ObservingTests {
    @Test("notices come in order, with severity, SQLSTATE, text and the statement that caused them")
    func notices() async throws {
        let told = Collector<PostgresClient.Notice>()
        try await withSharedClient({ $0.onNotice = { await told.append($0) } }) { client in
            let text = """
                do $$ begin
                    raise notice 'first';
                    raise warning 'second' using errcode = 'DA001', detail = 'more', hint = 'less';
                    raise info 'third';
                end $$
                """
            let backend = try await client.withConnection { connection in
                _ = try await connection.query(SQLStatement(unescaped: text))
                return try await connection.query("select pg_backend_pid()").decodeOne(Int32.self)
            }
            try await eventually("three notices") { await told.values.count == 3 }
            let notices = await told.values
            #expect(notices.map(\.message) == ["first", "second", "third"])
            #expect(notices.map(\.severity) == [.notice, .warning, .info])
            #expect(notices.map(\.sqlState.rawValue) == ["00000", "DA001", "00000"])
            #expect(notices[1].detail == "more" && notices[1].hint == "less")
            #expect(notices.allSatisfy { $0.sql == text && $0.backendProcessID == backend && $0.dropped == 0 })
        }
    }

    @Test("notices of onConnect, of streams and of COPY are told of too")
    func noticesElsewhere() async throws {
        let told = Collector<PostgresClient.Notice>()
        try await withSharedClient({
            $0.pool.maximum = 1
            $0.onNotice = { await told.append($0) }
            $0.onConnect = { connection in _ = try await connection.query("drop table if exists nowhere_at_all") }
        }) { client in
            try await client.withConnection { connection in
                _ = try await connection.query(
                    """
                    create function pg_temp.tell(n bigint) returns bigint language plpgsql
                    as $$ begin raise notice 'n is %', n; return n; end $$
                    """)
                try await connection.withRows("select pg_temp.tell(\(7))") { rows in for try await _ in rows {} }
            }
            try await eventually("both") { await told.values.count == 2 }
            #expect(await told.values.map(\.sql) == ["drop table if exists nowhere_at_all", "select pg_temp.tell($1)"])
        }
    }

    private func reports(
        _ change: (inout PostgresClient.Settings) -> Void = { _ in }, count: Int,
        _ body: (PostgresClient) async throws -> Void
    ) async throws -> [PostgresClient.StatementReport] {
        let told = Collector<PostgresClient.StatementReport>()
        return try await withSharedClient({
            $0.onStatement = { await told.append($0) }
            change(&$0)
        }) { client in
            try await body(client)
            try await eventually("\(count) reports") { await told.values.count >= count }
            return await told.values
        }
    }

    @Test("a statement's SQL never holds its values; its rows, time and backend are right")
    func statements() async throws {
        let reports = try await reports(count: 3) { client in
            _ = try await client.query("select generate_series(1, \(5)), \("secret")")
            try await client.withConnection { connection in
                _ = try await connection.query("create temp table t (n int)")
                _ = try await connection.query("insert into t select generate_series(1, \(3))")
            }
        }
        #expect(
            reports.map(\.sql) == [
                "select generate_series(1, $1), $2", "create temp table t (n int)",
                "insert into t select generate_series(1, $1)",
            ])
        #expect(reports.map(\.rows) == [5, nil, 3])
        #expect(reports.allSatisfy { $0.errorCode == nil && !$0.wasSaved && $0.dropped == 0 })
        #expect(reports.allSatisfy { $0.duration > .zero && $0.backendProcessID != nil })
    }

    @Test("failures have the SQLSTATE, or the code of what happened to the connection")
    func failures() async throws {
        let reports = try await reports(count: 4) { client in
            try await client.withConnection { connection in
                _ = try? await connection.query("select 1 / \(0)")
                _ = try? await connection.query("select pg_sleep(600)", timeout: .milliseconds(50))
            }
            _ = try? await client.query("select pg_terminate_backend(pg_backend_pid())")
            _ = try? await client.query("select 4", deadline: .now - .seconds(1))
        }
        #expect(reports.map(\.errorCode).prefix(3) == ["22012", PostgresError.Code.queryTimeout, "57P01"])
        #expect(reports[3].errorCode != nil)
        #expect(reports.allSatisfy { $0.rows == nil && !$0.wasSaved })
        #expect(reports[0].backendProcessID != nil && reports[2].backendProcessID == nil)
    }

    @Test("a statement that got no connection is told of, with the reason")
    func noConnection() async throws {
        let told = Collector<PostgresClient.StatementReport>()
        try await withSharedClient({
            $0.pool.maximum = 1
            $0.onStatement = { await told.append($0) }
        }) { client in
            try await client.withConnection { _ in
                _ = try? await client.query("select 'waits'", timeout: .milliseconds(20))
            }
            try await eventually("a report") { await !told.values.isEmpty }
            let report = try #require(await told.values.first)
            #expect(report.errorCode == "POOL_SATURATED" && report.sql == "select 'waits'")
            #expect(report.duration >= .milliseconds(20))
        }
    }

    @Test("streams and COPY count their rows at their end; one that is left early was cancelled")
    func streams() async throws {
        let reports = try await reports(count: 5) { client in
            try await client.withConnection { connection in
                _ = try await connection.query("create temp table copied (n int)")
                let source = AsyncStream { stream in
                    for number in 0..<20 { stream.yield(Array("\(number)\n".utf8)) }
                    stream.finish()
                }
                try await connection.copyIn("copy copied from stdin", from: source)
                try await connection.withRows("select * from copied where n < \(10)") { rows in
                    for try await _ in rows {}
                }
                try await connection.withCopyOut("copy copied to stdout") { data in for try await _ in data {} }
                try await connection.withRows("select generate_series(1, 100000000)") { rows in
                    for try await _ in rows { break }
                }
            }
        }
        #expect(reports.map(\.rows) == [nil, 20, 10, 20, nil])
        #expect(reports.map(\.errorCode) == [nil, nil, nil, nil, "57014"])
        #expect(reports[2].sql == "select * from copied where n < $1")
    }

    @Test("the client's own statements in a transaction are told of")
    func transaction() async throws {
        let reports = try await reports(count: 6) { client in
            try await client.withTransaction { transaction in
                _ = try await transaction.query("select 1")
                try await transaction.withSavepoint { inner in _ = try await inner.query("select 2") }
            }
        }
        #expect(
            reports.map(\.sql) == [
                "begin", "select 1", "savepoint client_savepoint_1", "select 2",
                "release savepoint client_savepoint_1", "commit",
            ])
    }

    @Test("a statement that a retry has saved says so")
    func saved() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            let told = Collector<PostgresClient.StatementReport>()
            try await withClient(
                sandbox.connectionURL(),
                {
                    $0.pool.maximum = 2
                    $0.onStatement = { await told.append($0) }
                }
            ) { client in
                // Ends its session the first time, and not the second: the setting is the session's.
                _ = try await client.query("create sequence runs")
                let value = try await client.query(
                    """
                    select case nextval('runs') when 1 then pg_terminate_backend(pg_backend_pid())::text else 'second' end
                    """, isIdempotent: true
                ).decodeOne(String.self)
                #expect(value == "second")
                try await eventually("both") { await told.values.count == 2 }
                let report = try #require(await told.values.last)
                #expect(report.wasSaved && report.errorCode == nil && report.rows == 1)
                #expect(report.backendProcessID != nil)
            }
        }
    }

    @Test("a hook that falls behind loses what does not fit, and learns how many")
    func overflow() async throws {
        let mayReceive = Latch()
        let isReceiving = Latch()
        let told = Collector<(number: Int, dropped: Int)>()
        let relay = HookRelay<(number: Int, dropped: Int)> {
            await isReceiving.open()
            await mayReceive.wait()
            await told.append($0)
        }
        await relay.send { (0, $0) }
        await isReceiving.wait()
        let limit = HookRelay<Int>.limit
        for number in 1...limit + 3 { await relay.send { (number, $0) } }
        await mayReceive.open()
        try await eventually("all that fit") { await told.values.count == limit + 1 }
        await relay.send { (-1, $0) }
        try await eventually("the next") { await told.values.count == limit + 2 }
        let last = try #require(await told.values.last)
        #expect(last == (-1, 3))
    }
}
