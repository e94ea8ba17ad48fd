import DispatchLoop
import Testing

@testable import PostgresSession

@Suite struct PreparedStatementsTests {
    private let sql = "select 1"
    private var name: String { PreparedStatements.name(for: sql) }

    @Test("a statement is prepared once, with its first execution, and executed from then on")
    func preparedOnce() {
        var statements = PreparedStatements()
        #expect(statements.step(for: sql) == .prepare(name: name))
        #expect(statements.next(after: .prepare(name: name), of: sql, failure: nil) == nil)
        #expect(statements.next(after: .execute(name: name), of: sql, failure: nil) == nil)
        #expect(statements.step(for: sql) == .execute(name: name))
    }

    @Test("after DISCARD ALL each is prepared anew; a pooler that was noticed stays noticed")
    func forgotten() {
        var statements = PreparedStatements()
        _ = statements.step(for: sql)
        #expect(statements.next(after: .prepare(name: name), of: sql, failure: nil) == nil)
        statements.forgetAll()
        #expect(statements.step(for: sql) == .prepare(name: name))
        for _ in 0...PreparedStatements.maximumMisses {
            _ = statements.next(after: .prepare(name: name), of: sql, failure: nil)
            _ = statements.next(after: .execute(name: name), of: sql, failure: "26000")
        }
        statements.forgetAll()
        #expect(statements.step(for: sql) == .text)
    }

    @Test("a name is the text's FNV-1a hash")
    func names() {
        // 128-bit test vectors of the FNV reference, for "" and "foobar".
        #expect(PreparedStatements.name(for: "") == "stmt_6c62272e07bb014262b821756295c58d")
        #expect(PreparedStatements.name(for: "foobar") == "stmt_343e1662793c64bf6f0d3597ba446f18")
    }

    @Test("a failed preparation fails the statement, and the next use prepares again")
    func failedPrepare() {
        var statements = PreparedStatements()
        _ = statements.step(for: sql)
        #expect(statements.next(after: .prepare(name: name), of: sql, failure: "42601") == nil)
        #expect(statements.step(for: sql) == .prepare(name: name))
    }

    @Test("a statement that exists already is executed")
    func duplicate() {
        var statements = PreparedStatements()
        _ = statements.step(for: sql)
        #expect(statements.next(after: .prepare(name: name), of: sql, failure: "42P05") == .execute(name: name))
    }

    @Test("a missing statement is prepared again, up to a limit")
    func missing() {
        var statements = PreparedStatements()
        _ = statements.step(for: sql)
        for _ in 0..<PreparedStatements.maximumMisses {
            _ = statements.next(after: .prepare(name: name), of: sql, failure: nil)
            #expect(statements.next(after: .execute(name: name), of: sql, failure: "26000") == .prepare(name: name))
        }
        _ = statements.next(after: .prepare(name: name), of: sql, failure: nil)
        #expect(statements.next(after: .execute(name: name), of: sql, failure: "26000") == .text)
        #expect(statements.step(for: sql) == .text)
        #expect(statements.step(for: "select 2") == .text, "the session is shared: nothing is prepared any more")
    }

    @Test("a statement whose columns changed is sent as text from then on; others are not")
    func changedShape() {
        var statements = PreparedStatements()
        _ = statements.step(for: sql)
        _ = statements.next(after: .prepare(name: name), of: sql, failure: nil)
        #expect(statements.next(after: .execute(name: name), of: sql, failure: "0A000") == .text)
        #expect(statements.next(after: .text, of: sql, failure: "0A000") == nil)
        #expect(statements.step(for: sql) == .text)
        let other = "select 2"
        #expect(statements.step(for: other) == .prepare(name: PreparedStatements.name(for: other)))
    }

    @Test("a statement's own failure is final")
    func ownFailure() {
        var statements = PreparedStatements()
        _ = statements.step(for: sql)
        _ = statements.next(after: .prepare(name: name), of: sql, failure: nil)
        #expect(statements.next(after: .execute(name: name), of: sql, failure: "22012") == nil)
        #expect(statements.step(for: sql) == .execute(name: name))
    }

    @Test("a session keeps a limited number of statements")
    func capacity() {
        var statements = PreparedStatements()
        for number in 0..<PreparedStatements.capacity { #expect(statements.step(for: "select \(number)") != .text) }
        #expect(statements.step(for: "select one more") == .text)
    }
}

@LoopActor
@Suite(.timeLimit(.minutes(2))) struct PreparedSessionTests {
    private func preparedCount(_ connection: PostgresConnection) async throws -> String? {
        try await connection.query("select count(*) from pg_prepared_statements", deadline: soon).values[0]
    }

    @Test("the session keeps the statement, whose result equals that of its text")
    func kept() async throws {
        let connection = try await connect()
        let text = try await connection.query("select 1", deadline: soon)
        #expect(try await preparedCount(connection) == "0")
        for _ in 0..<3 {
            #expect(try await connection.query("select 1", isPrepared: true, deadline: soon) == text)
        }
        #expect(try await preparedCount(connection) == "1")
    }

    @Test("each execution has its own parameters")
    func parameters() async throws {
        let connection = try await connect()
        for value in ["a", nil, "ß"] {
            let result = try await connection.query(
                "select $1::text", parameters: [value], isPrepared: true, deadline: soon)
            #expect(result.values == [value])
        }
    }

    @Test("a deallocated statement is prepared again transparently, and in the end sent as text")
    func lost() async throws {
        let connection = try await connect()
        for _ in 0..<5 {
            #expect(try await connection.query("select 1", isPrepared: true, deadline: soon).values == ["1"])
            _ = try await connection.query("deallocate all", deadline: soon)
        }
        #expect(try await preparedCount(connection) == "0")
    }

    @Test("a statement already prepared under its name is executed")
    func shared() async throws {
        let connection = try await connect()
        let name = PreparedStatements.name(for: "select 1")
        _ = try await connection.query("prepare \(name) as select 1", deadline: soon)
        #expect(try await connection.query("select 1", isPrepared: true, deadline: soon).values == ["1"])
    }

    @Test("a statement whose table changed returns the new columns")
    func changedTable() async throws {
        let connection = try await connect()
        _ = try await connection.query("create temporary table t as select 1 as a", deadline: soon)
        #expect(try await connection.query("select * from t", isPrepared: true, deadline: soon).values == ["1"])
        _ = try await connection.query("alter table t add b int default 2", deadline: soon)
        #expect(try await connection.query("select * from t", isPrepared: true, deadline: soon).values == ["1", "2"])
    }

    @Test("inside a transaction it is sent as text, so that a missing statement cannot abort the transaction")
    func inTransaction() async throws {
        let connection = try await connect()
        _ = try await connection.query("select 1", isPrepared: true, deadline: soon)
        _ = try await connection.query("begin", deadline: soon)
        _ = try await connection.query("deallocate all", deadline: soon)
        #expect(try await connection.query("select 1", isPrepared: true, deadline: soon).values == ["1"])
        #expect(try await connection.query("commit", deadline: soon).command == "COMMIT")
    }

    @Test("a statement that cannot be prepared fails like its text, and the session continues")
    func broken() async throws {
        let connection = try await connect()
        for isPrepared in [false, true] {
            let error = await #expect(throws: PostgresError.self) {
                try await connection.query("select from where", isPrepared: isPrepared, deadline: soon)
            }
            #expect(error?.code == "42601")
        }
        #expect(try await connection.query("select 1", isPrepared: true, deadline: soon).values == ["1"])
    }

    @Test("a session that ends before the preparation has executed nothing, and its error says so")
    func endsWhilePreparing() async throws {
        let connection = try await connect()
        let other = try await connect()
        _ = try await other.query(
            "select pg_terminate_backend(\(connection.backendProcessID), 5000)", deadline: soon)
        let error = await #expect(throws: PostgresError.self) {
            try await connection.query("select 1", isPrepared: true, deadline: soon)
        }
        #expect(error?.wasNeverSent == true)
    }
}
