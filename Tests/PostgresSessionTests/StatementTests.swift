import DispatchLoop
import PostgresTestKit
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

    @Test("a value that is not UTF-8 is repaired, and noted")
    func notUTF8() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            try await sandbox.execute(
                "create database ascii encoding 'SQL_ASCII' lc_collate 'C' lc_ctype 'C' template template0")
            let connection = try await connect(sandbox.connectionURL(database: "ascii"))
            // Otherwise the server refuses to send it.
            _ = try await connection.query("set client_encoding to 'SQL_ASCII'", deadline: soon)
            // The last one has as many bytes as what replaces it.
            for bytes in ["\\xff", "\\x61e4", "\\xe282", "\\xf09f98"] {
                let result = try await connection.query(
                    "select 'ä', convert_from('\(bytes)', 'SQL_ASCII'), '\u{FFFD}'", deadline: soon)
                #expect(result.malformed == [1])
                #expect(result.values[0] == "ä")
                #expect(result.values[1]?.contains("\u{FFFD}") == true)
            }
            #expect(connection.isIdle)
            connection.close()
        }
    }
}
