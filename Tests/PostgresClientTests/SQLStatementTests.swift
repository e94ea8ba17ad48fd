import PostgresSession
import Testing

@testable import PostgresClient

@Suite struct SQLStatementTests {
    @Test("values become parameters, in their order, with their types")
    func values() throws {
        let (id, name, mood) = (7, "x'; drop table users; --", Bool?.none)
        let statement: SQLStatement = "select * from users where id = \(id) and name = \(name) and happy = \(mood)"
        #expect(statement.sql == "select * from users where id = $1 and name = $2 and happy = $3")
        #expect(statement.parameters == ["7", name, nil])
        #expect(statement.types == [20, 0, 16])
        #expect(statement.isPrepared)
        let encoded = try statement.encoded()
        #expect(encoded.types == [20, 0, 16])
    }

    @Test("a parameter can have another type")
    func otherType() {
        let statement: SQLStatement = "select left('abc', \(2, as: .int4))"
        #expect(statement.types == [23])
    }

    @Test(
        "an identifier is quoted",
        arguments: [
            ("users", #""users""#), (#"a"b"#, #""a""b""#), (#"x"; drop table y; --"#, #""x""; drop table y; --""#),
        ])
    func identifiers(name: String, quoted: String) {
        let statement: SQLStatement = "select * from \(identifier: name) where id = \(1)"
        #expect(statement.sql == "select * from \(quoted) where id = $1")
        #expect(!statement.isPrepared, "such statements would fill the session's room for prepared ones")
    }

    @Test("an empty identifier is refused")
    func emptyIdentifier() {
        let statement: SQLStatement = "select * from \(identifier: "")"
        #expect(throws: PostgresEncodingError.self) { try statement.encoded() }
    }

    @Test("SQL can be inserted as it is")
    func unescaped() {
        let statement: SQLStatement = "select 1 order by 1 \(unescaped: "desc")"
        #expect(statement.sql == "select 1 order by 1 desc")
        #expect(statement.parameters.isEmpty)
    }

    @Test("values of $1, $2 …")
    func numbered() throws {
        let statement = try SQLStatement("select $1, $2, $3", parameters: [1, "a", Int?.none])
        #expect(statement.parameters == ["1", "a", nil])
        #expect(statement.types == [20, 0, 20])
        #expect(statement.isPrepared)
    }

    @Test("a literal without values is sent as text, so that it may hold several statements")
    func literal() throws {
        let statement: SQLStatement = "select 1; select 2"
        #expect(!statement.isPrepared)
        #expect(try statement.encoded() == Statement("select 1; select 2"))
    }

    @Test("texts alone cost no types")
    func untyped() throws {
        let statement: SQLStatement = "select \("a"), \("b")"
        #expect(try statement.encoded().types.isEmpty)
    }

    @Test("what is printed has no values, unless asked for")
    func description() {
        let statement: SQLStatement = "select \("secret")"
        #expect("\(statement)" == "select $1")
        #expect(statement.debugDescription.contains("secret"))
    }

    @Test("a value that cannot be encoded fails the statement, and is not quoted")
    func fault() {
        struct Odd: PostgresEncodable, CustomStringConvertible {
            struct Failure: Error, CustomStringConvertible { let description = "secret" }
            static let postgresType = PostgresType.text
            let description = "secret"
            func postgresText() throws -> String? { throw Failure() }
        }
        let statement: SQLStatement = "select \(1), \(Odd())"
        let error = #expect(throws: PostgresEncodingError.self) { try statement.encoded() }
        #expect(error?.reason == "the value of $2 cannot be encoded: its encoding threw Failure")
    }
}
