internal import PostgresSession

/// A statement's result: its rows, which the client has received whole.
public struct Rows: Sendable, RandomAccessCollection {
    let result: QueryResult

    init(_ result: QueryResult) { self.result = result }

    /// The command tag's first word, such as `SELECT` or `INSERT`; empty for an empty statement.
    public var command: String { result.command }
    /// The number of rows returned or affected; `nil` for a statement that has no such number.
    public var affectedRows: Int? { result.rowCount }
    /// The columns.
    public var columns: [PostgresColumn] {
        result.columns.enumerated().map { index, column in
            PostgresColumn(index: index, name: column.name, type: PostgresType(oid: column.typeID))
        }
    }

    /// 0.
    public var startIndex: Int { 0 }
    /// The number of rows.
    public var endIndex: Int { result.columns.isEmpty ? 0 : result.values.count / result.columns.count }
    /// The row at `position`, from 0.
    public subscript(position: Int) -> Row {
        precondition(indices.contains(position), "there is no row \(position)")
        return Row(result: result, offset: position * result.columns.count)
    }

    /// All rows, each as these types, one for each column.
    ///
    /// ```swift
    /// for (id, name) in try rows.decode((Int, String?).self) { … }
    /// ```
    ///
    /// - Throws: ``PostgresDecodingError``.
    public func decode<each Value: PostgresDecodable>(
        _ types: (repeat each Value).Type, file: StaticString = #fileID, line: UInt = #line
    ) throws(PostgresDecodingError) -> [(repeat each Value)] {
        var decoded: [(repeat each Value)] = []
        decoded.reserveCapacity(count)
        for row in self { decoded.append(try row.decode(types, file: file, line: line)) }
        return decoded
    }

    /// The only row, as these types.
    ///
    /// - Throws: ``PostgresDecodingError``, also if there is no row or more than one.
    public func decodeOne<each Value: PostgresDecodable>(
        _ types: (repeat each Value).Type, file: StaticString = #fileID, line: UInt = #line
    ) throws(PostgresDecodingError) -> (repeat each Value) {
        try onlyRow(SourcePlace(file: file, line: line)).decode(types, file: file, line: line)
    }

    /// The only row, as these types; `nil` if there is none.
    ///
    /// - Throws: ``PostgresDecodingError``, also if there is more than one row.
    public func decodeOneIfPresent<each Value: PostgresDecodable>(
        _ types: (repeat each Value).Type, file: StaticString = #fileID, line: UInt = #line
    ) throws(PostgresDecodingError) -> (repeat each Value)? {
        if isEmpty { return .none }
        return .some(try decodeOne(types, file: file, line: line))
    }
}

// One type is no tuple: with it alone, optional results could not be compared with `nil`.
extension Rows {
    /// The values of the only column.
    ///
    /// - Throws: ``PostgresDecodingError``, also if there are more columns.
    public func decode<Value: PostgresDecodable>(
        _ type: Value.Type, file: StaticString = #fileID, line: UInt = #line
    ) throws(PostgresDecodingError) -> [Value] {
        var decoded: [Value] = []
        decoded.reserveCapacity(count)
        for row in self { decoded.append(try row.decode(type, file: file, line: line)) }
        return decoded
    }

    /// The only value.
    ///
    /// - Throws: ``PostgresDecodingError``, also if there is no row, or more than one row or column.
    public func decodeOne<Value: PostgresDecodable>(
        _ type: Value.Type, file: StaticString = #fileID, line: UInt = #line
    ) throws(PostgresDecodingError) -> Value {
        try onlyRow(SourcePlace(file: file, line: line)).decode(type, file: file, line: line)
    }

    /// The only value; `nil` if there is no row.
    ///
    /// - Throws: ``PostgresDecodingError``, also if there is more than one row or column.
    public func decodeOneIfPresent<Value: PostgresDecodable>(
        _ type: Value.Type, file: StaticString = #fileID, line: UInt = #line
    ) throws(PostgresDecodingError) -> Value? {
        isEmpty ? nil : try decodeOne(type, file: file, line: line)
    }

    private func onlyRow(_ place: SourcePlace) throws(PostgresDecodingError) -> Row {
        guard count == 1 else { throw PostgresDecodingError(.wrongRowCount(count), swiftType: "one row", at: place) }
        return self[0]
    }
}

/// A column of a result.
public struct PostgresColumn: Sendable, Hashable {
    /// Its index, from 0.
    public let index: Int
    /// Its name. Several columns may have the same.
    public let name: String
    /// Its type; that below the domain, if it has one.
    public let type: PostgresType
}
