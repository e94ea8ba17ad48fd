import DispatchLoop
import PostgresTestKit
import Testing

@testable import DispatchPostgres
@testable import PostgresSession

/// Results that are read in parts, and COPY, on a real server.
@LoopActor
@Suite("a statement in parts", .timeLimit(.minutes(2)))
struct PartStreamTests {
    nonisolated private static let limit = Duration.seconds(20)

    private func withConnection(
        _ body: @LoopActor (PooledConnection, PostgresSandbox) async throws -> Void
    ) async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, _ in
            try await pool.withConnection(deadline: soon) { try await body($0, sandbox) }
        }
    }

    private func allRows(_ stream: PartStream) async throws -> [[String?]] {
        var rows: [[String?]] = []
        while case .rows(let part)? = try await stream.next() {
            #expect(part.rows.count <= StatementStream.rowLimit)
            rows += part.rows.map(Array.init)
        }
        return rows
    }

    private func expectUsable(_ connection: PooledConnection, _ backend: Int32?) async throws {
        #expect(try await connection.query("select 7", deadline: soon).values == ["7"])
        #expect(connection.backendProcessID == backend, "on the same session")
    }

    @Test("gives every row once, in order, and its result at the end")
    func allInOrder() async throws {
        try await withConnection { connection, _ in
            let backend = connection.backendProcessID
            let statement = try Statement(
                "select n, n * 2, null from generate_series(1, $1::int) n", parameters: ["20000"], isPrepared: false)
            let stream = try connection.stream(statement, timeout: Self.limit)
            let rows = try await allRows(stream)
            #expect(rows.count == 20_000)
            #expect(rows.enumerated().allSatisfy { $1 == ["\($0 + 1)", "\(2 * ($0 + 1))", nil] })
            let result = try await stream.end()
            #expect(result.command == "SELECT" && result.rowCount == 20_000)
            #expect(result.columns.map(\.name) == ["n", "?column?", "?column?"])
            try await expectUsable(connection, backend)
        }
    }

    @Test("a result without rows has its columns; a statement without a result its count")
    func withoutRows() async throws {
        try await withConnection { connection, _ in
            let empty = try connection.stream(Statement("select 1 as one where false"), timeout: Self.limit)
            #expect(try await allRows(empty) == [])
            #expect(try await empty.end().columns.map(\.name) == ["one"])
            _ = try await connection.query("create temp table t (n int)", deadline: soon)
            let insert = try connection.stream(
                Statement("insert into t select generate_series(1, 3)"), timeout: Self.limit)
            #expect(try await allRows(insert) == [])
            #expect(try await insert.end().rowCount == 3)
        }
    }

    @Test("another statement meanwhile is refused, and the stream goes on")
    func busy() async throws {
        try await withConnection { connection, _ in
            let stream = try connection.stream(Statement("select generate_series(1, 1000)"), timeout: Self.limit)
            await #expect(throws: PostgresError.self) { try await connection.query("select 1", deadline: soon) }
            #expect(try await allRows(stream).count == 1_000)
        }
    }

    @Test("a reader that waits makes the server wait")
    func backPressure() async throws {
        try await withConnection { connection, sandbox in
            let backend = try #require(connection.backendProcessID)
            let stream = try connection.stream(
                Statement("select n, repeat('x', 1000) from generate_series(1, 100000) n"), timeout: .seconds(2))
            guard case .rows(let first)? = try await stream.next() else { return #expect(Bool(false), "no rows") }
            let waits = try await Deadline(in: .seconds(20)).wait(every: .milliseconds(20)) {
                let event = try await sandbox.execute("select wait_event from pg_stat_activity where pid = \(backend)")
                return event == "ClientWrite"
            }
            #expect(waits, "the server should wait for its client")
            var count = first.rows.count
            while case .rows(let part)? = try await stream.next() { count += part.rows.count }
            #expect(try await stream.end().rowCount == 100_000)
            #expect(count == 100_000)
        }
    }

    @Test("left early outside a transaction, it is cancelled, and the session goes on", arguments: [0, 1, 3])
    func left(after parts: Int) async throws {
        try await withConnection { connection, _ in
            let backend = connection.backendProcessID
            let stream = try connection.stream(
                Statement("select generate_series(1, 100000000), repeat('x', 100)"), timeout: Self.limit)
            for _ in 0..<parts { _ = try await stream.next() }
            await stream.leave()
            try await expectUsable(connection, backend)
        }
    }

    @Test("left early inside a transaction, the rest is dropped, and the transaction goes on")
    func leftInTransaction() async throws {
        try await withConnection { connection, _ in
            let backend = connection.backendProcessID
            _ = try await connection.query("begin", deadline: soon)
            let stream = try connection.stream(Statement("select generate_series(1, 200000)"), timeout: Self.limit)
            _ = try await stream.next()
            await stream.leave()
            try await expectUsable(connection, backend)
            #expect(try await connection.query("commit", deadline: soon).command == "COMMIT")
        }
    }

    @Test("an error after the first rows is thrown after them, and the session goes on")
    func failsLate() async throws {
        try await withConnection { connection, _ in
            let backend = connection.backendProcessID
            let stream = try connection.stream(
                Statement("select 1 / (5000 - n) from generate_series(1, 10000) n"), timeout: Self.limit)
            var count = 0
            let error = await #expect(throws: PostgresError.self) {
                while case .rows(let part)? = try await stream.next() { count += part.rows.count }
            }
            #expect(error?.sqlState == .divisionByZero)
            #expect(count > 0 && count < 5_000)
            try await expectUsable(connection, backend)
        }
    }

    @Test("a session that is lost meanwhile is the error of the stream and of the lease")
    func lost() async throws {
        try await withConnection { connection, sandbox in
            let backend = try #require(connection.backendProcessID)
            let stream = try connection.stream(
                Statement("select n, repeat('x', 1000) from generate_series(1, 100000) n"), timeout: Self.limit)
            _ = try await stream.next()
            _ = try await sandbox.execute("select pg_terminate_backend(\(backend))")
            let error = await #expect(throws: PostgresError.self) { while try await stream.next() != nil {} }
            // A server process that waits for its client cannot say why it ends.
            let codes = ["57P01", PostgresError.Code.reset, PostgresError.Code.ended]
            #expect(error.map { codes.contains($0.code) } == true, "\(error as Any)")
            await #expect(throws: PostgresError.self) { try await connection.query("select 1", deadline: soon) }
        }
    }

    @Test("the reason for the end is read behind rows that nobody has read yet")
    func lostWithReason() async throws {
        try await withConnection { connection, _ in
            let stream = try connection.stream(
                Statement("select n, pg_terminate_backend(pg_backend_pid()) from generate_series(1, 3) n"),
                timeout: Self.limit)
            let error = await #expect(throws: PostgresError.self) { while try await stream.next() != nil {} }
            #expect(error?.code == "57P01")
        }
    }

    @Test("a server that falls silent is given up after the timeout")
    func silent() async throws {
        try await withConnection { connection, _ in
            let stream = try connection.stream(Statement("select pg_sleep(100)"), timeout: .milliseconds(300))
            let error = await #expect(throws: PostgresError.self) { try await stream.next() }
            #expect(error?.code == PostgresError.Code.queryTimeout)
        }
    }

    @Test("a cancelled task is told, and leaves")
    func cancelled() async throws {
        try await withConnection { connection, _ in
            let backend = connection.backendProcessID
            let task = Task { @LoopActor in
                let stream = try connection.stream(Statement("select 1 from pg_sleep(100)"), timeout: Self.limit)
                do { _ = try await stream.next() } catch {
                    await stream.leave()
                    throw error
                }
            }
            task.cancel()
            let error = await #expect(throws: PostgresError.self) { try await task.value }
            #expect(error?.code == PostgresError.Code.cancelled)
            try await expectUsable(connection, backend)
        }
    }

    // MARK: COPY

    @Test("COPY TO STDOUT gives the server's bytes")
    func copyOut() async throws {
        try await withConnection { connection, _ in
            let backend = connection.backendProcessID
            let stream = try connection.stream(
                Statement("copy (select n, 'a' from generate_series(1, 30000) n) to stdout"), timeout: Self.limit)
            var bytes: [UInt8] = []
            while case .data(let part)? = try await stream.next() { bytes += part }
            #expect(String(decoding: bytes, as: UTF8.self) == (1...30_000).map { "\($0)\ta\n" }.joined())
            #expect(try await stream.end().rowCount == 30_000)
            try await expectUsable(connection, backend)
        }
    }

    @Test("COPY TO STDOUT can be left")
    func copyOutLeft() async throws {
        try await withConnection { connection, _ in
            let backend = connection.backendProcessID
            let stream = try connection.stream(
                Statement("copy (select generate_series(1, 100000000)) to stdout"), timeout: Self.limit)
            _ = try await stream.next()
            await stream.leave()
            try await expectUsable(connection, backend)
        }
    }

    @Test("COPY FROM STDIN takes all that is written", arguments: [1, 1_000, 100_000])
    func copyIn(rows: Int) async throws {
        try await withConnection { connection, _ in
            let backend = connection.backendProcessID
            _ = try await connection.query("create temp table t (n int, s text)", deadline: soon)
            let stream = try connection.stream(Statement("copy t from stdin"), isWriting: true, timeout: Self.limit)
            for begin in stride(from: 0, to: rows, by: 1_000) {
                let lines = (begin..<min(begin + 1_000, rows)).map { "\($0)\t\(String(repeating: "y", count: 100))\n" }
                try await stream.write(Array(lines.joined().utf8))
            }
            #expect(try await stream.finish().rowCount == rows)
            let sum = try await connection.query("select count(*), sum(n), min(length(s)) from t", deadline: soon)
            #expect(sum.values == ["\(rows)", "\(rows * (rows - 1) / 2)", "100"])
            try await expectUsable(connection, backend)
        }
    }

    @Test("COPY FROM STDIN without data is empty; one that is left is undone")
    func copyInLeft() async throws {
        try await withConnection { connection, _ in
            let backend = connection.backendProcessID
            _ = try await connection.query("create temp table t (n int)", deadline: soon)
            let empty = try connection.stream(Statement("copy t from stdin"), isWriting: true, timeout: Self.limit)
            #expect(try await empty.finish().rowCount == 0)
            for isStarted in [false, true] {
                let left = try connection.stream(Statement("copy t from stdin"), isWriting: true, timeout: Self.limit)
                if isStarted { try await left.write(Array("1\n2\n".utf8)) }
                await left.leave()
                try await expectUsable(connection, backend)
            }
            #expect(try await connection.query("select count(*) from t", deadline: soon).values == ["0"])
        }
    }

    @Test("bad data is the server's error, with its place, and the session goes on")
    func copyInBad() async throws {
        try await withConnection { connection, _ in
            let backend = connection.backendProcessID
            _ = try await connection.query("create temp table t (n int)", deadline: soon)
            let stream = try connection.stream(Statement("copy t from stdin"), isWriting: true, timeout: Self.limit)
            try await stream.write(Array("1\nx\n".utf8))
            let error = await #expect(throws: PostgresError.self) { try await stream.finish() }
            #expect(error?.sqlState == .invalidTextRepresentation)
            try await expectUsable(connection, backend)
        }
    }

    @Test("data for a statement that takes none, and a COPY FROM STDIN without data to send, are errors")
    func mixedUp() async throws {
        try await withConnection { connection, _ in
            let backend = connection.backendProcessID
            _ = try await connection.query("create temp table t (n int)", deadline: soon)
            let rows = try connection.stream(Statement("select 1"), isWriting: true, timeout: Self.limit)
            let first = await #expect(throws: PostgresError.self) { try await rows.write([1]) }
            #expect(first?.sqlState == nil && first?.code == SQLState.wrongObjectType.rawValue)
            let copy = try connection.stream(Statement("copy t from stdin"), timeout: Self.limit)
            let second = await #expect(throws: PostgresError.self) { try await copy.next() }
            #expect(second?.sqlState == .queryCanceled)
            try await expectUsable(connection, backend)
        }
    }
}
