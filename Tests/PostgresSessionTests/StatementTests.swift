import DispatchLoop
import Testing

@testable import PostgresSession

@LoopActor
@Suite(.timeLimit(.minutes(2))) struct StatementTests {
    @Test("the maximum number of parameters reaches the server")
    func mostParameters() async throws {
        let connection = try await connect()
        let all = 1...Statement.maximumParameters
        let sum = try await connection.query(
            "select cardinality(array[\(all.map { "$\($0)" }.joined(separator: ","))]::int[])",
            parameters: all.map(String.init), deadline: soon)
        #expect(sum.values == ["65535"])
    }

    @Test("one more parameter fails the statement and keeps the session", arguments: [false, true])
    func tooManyParameters(isPrepared: Bool) async throws {
        let connection = try await connect()
        let error = await #expect(throws: PostgresError.self) {
            try await connection.query(
                "select $1::int", parameters: [String?](repeating: "1", count: Statement.maximumParameters + 1),
                isPrepared: isPrepared, deadline: soon)
        }
        #expect(error?.code == PostgresError.Code.tooManyParameters)
        #expect(error?.disposition == .statement)
        #expect(error?.wasNeverSent == true)
        #expect(error?.hint != nil)
        #expect(connection.isIdle)
        #expect(try await connection.query("select 1", deadline: soon).values == ["1"])
    }

    @Test(
        "a NUL, at which libpq would cut the text, is refused",
        arguments: [("select $1::text", "a\0b"), ("select $1::text", "\0"), ("select $1::text\0 || 'b'", "a")])
    func nul(sql: String, parameter: String) async throws {
        let connection = try await connect()
        let error = await #expect(throws: PostgresError.self) {
            try await connection.query(sql, parameters: [parameter], deadline: soon)
        }
        #expect(error?.code == PostgresError.Code.nulCharacter)
        #expect(error?.disposition == .statement)
        #expect(try await connection.query("select $1", parameters: [""], deadline: soon).values == [""])
    }

    @Test("the same text with other types is another prepared statement")
    func types() async throws {
        let connection = try await connect()
        for _ in 0..<2 {
            for (types, name) in [([20], "bigint"), ([23], "integer"), ([1_700], "numeric")] as [([UInt32], String)] {
                let statement = try Statement(
                    "select pg_typeof($1)", parameters: ["1"], types: types, isPrepared: true)
                let result: Result<QueryResult, PostgresError> = await withCheckedContinuation { continuation in
                    connection.start(statement, deadline: soon) { continuation.resume(returning: $0) }
                }
                #expect(try result.get().values == [name])
            }
        }
        let prepared = try await connection.query("select count(*) from pg_prepared_statements", deadline: soon)
        #expect(prepared.values == ["3"])
    }
}
