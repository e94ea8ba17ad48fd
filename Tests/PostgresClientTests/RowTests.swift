import PostgresSession
import Testing

@testable import PostgresClient

@Suite struct RowTests {
    private let rows = Rows(
        QueryResult(
            command: "SELECT", rowCount: 2,
            columns: [
                .init(name: "id", typeID: 20, typeSize: 8), .init(name: "name", typeID: 25, typeSize: -1),
                .init(name: "name", typeID: 25, typeSize: -1),
            ], values: ["1", "a", "x", "2", nil, "secret"]))

    @Test("each row has its values from 0")
    func indices() throws {
        #expect(rows.count == 2)
        var ids: [Int] = []
        for row in rows { ids.append(try row[0]) }
        #expect(ids == [1, 2])
        #expect(try rows[1][1, as: String?.self] == nil)
        #expect(try rows.dropFirst().first?["id", as: Int.self] == 2)
        #expect(try rows.reversed()[0].decode((Int, String?, String).self) == (2, nil, "secret"))
    }

    @Test("rows are read as tuples")
    func tuples() throws {
        let decoded = try rows.decode((Int, String?, String).self)
        #expect(decoded.map(\.0) == [1, 2])
        #expect(decoded.map(\.1) == ["a", nil])
        let empty = Rows(QueryResult(command: "SELECT", rowCount: 0, columns: [], values: []))
        #expect(try empty.decodeOneIfPresent(Int.self) == nil)
        let error = #expect(throws: PostgresDecodingError.self) { try empty.decodeOne(Int.self) }
        #expect(error?.reason == .wrongRowCount(0))
    }

    @Test("an error names column, types, reason and place, and not the value")
    func errors() throws {
        let line: UInt = #line + 1
        let error = #expect(throws: PostgresDecodingError.self) { try rows[1].decode(Int.self, at: 2) }
        #expect(error?.reason == .wrongType)
        #expect(error?.columnName == "name")
        #expect(error?.columnIndex == 2)
        #expect(error?.postgresType == .text)
        #expect(error?.swiftType == "Int")
        #expect(error?.file == "PostgresClientTests/RowTests.swift")
        #expect(error?.line == line)
        let text = error.map { "\($0)" } ?? ""
        #expect(!text.contains("secret"))
        #expect(text.contains("column \"name\" (index 2) of type text as Int"), "\(text)")
        #expect(error?.debugDescription.contains("secret") == true)
    }

    @Test("columns by name")
    func names() throws {
        let missing = #expect(throws: PostgresDecodingError.self) { try rows[0]["Id", as: Int.self] }
        #expect(missing?.reason == .noSuchColumn(available: ["id", "name", "name"]))
        let ambiguous = #expect(throws: PostgresDecodingError.self) { try rows[0]["name", as: String.self] }
        #expect(ambiguous?.reason == .ambiguousColumn)
    }

    @Test("an index or a number of columns that the row does not have is an error", arguments: [-1, 3])
    func outside(index: Int) {
        let error = #expect(throws: PostgresDecodingError.self) { try rows[0].decode(Int.self, at: index) }
        #expect(error?.columnIndex == index)
        let count = #expect(throws: PostgresDecodingError.self) { try rows[0].decode((Int, String).self) }
        #expect(count?.reason == .wrongColumnCount(columns: 3, wanted: 2))
    }

    @Test("what another type's decoding throws is named by its type")
    func custom() {
        struct Odd: PostgresDecodable {
            struct Failure: Error, CustomStringConvertible { let description: String }
            static func decode(_ value: PostgresValue) throws -> Odd { throw Failure(description: value.text ?? "") }
        }
        let error = #expect(throws: PostgresDecodingError.self) { try rows[1][2, as: Odd.self] }
        #expect(error?.reason == .custom(errorType: "Failure"))
        #expect(error.map { "\($0)".contains("secret") } == false)
        #expect("\(rows[1])".contains("secret") == false)
    }
}
