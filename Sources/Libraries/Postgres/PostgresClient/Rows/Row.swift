internal import PostgresSession

/// A row of a result. Its values are read by index, from 0 in each row, or by name.
///
/// ```swift
/// let id: Int = try row[0]
/// let name = try row["name", as: String?.self]
/// let (id, name) = try row.decode((Int, String?).self)
/// ```
public struct Row: Sendable {
    let result: QueryResult
    /// The index of the first value in the result.
    let offset: Int

    /// The number of values.
    public var count: Int { result.columns.count }
    /// The names of the columns.
    public var columnNames: [String] { result.columns.map(\.name) }

    /// The value at an index, from 0.
    ///
    /// - Throws: ``PostgresDecodingError``.
    public subscript<Value: PostgresDecodable>(
        _ index: Int, as type: Value.Type = Value.self, file: StaticString = #fileID, line: UInt = #line
    ) -> Value {
        get throws(PostgresDecodingError) { try decode(type, at: index, file: file, line: line) }
    }

    /// The value in the column with this name, in the same case of letters.
    ///
    /// - Throws: ``PostgresDecodingError``, also if no column has the name, or several.
    public subscript<Value: PostgresDecodable>(
        _ name: String, as type: Value.Type = Value.self, file: StaticString = #fileID, line: UInt = #line
    ) -> Value {
        get throws(PostgresDecodingError) { try decode(type, named: name, file: file, line: line) }
    }

    /// The value at an index, from 0.
    ///
    /// - Throws: ``PostgresDecodingError``.
    public func decode<Value: PostgresDecodable>(
        _ type: Value.Type, at index: Int, file: StaticString = #fileID, line: UInt = #line
    ) throws(PostgresDecodingError) -> Value {
        try value(type, at: index, SourcePlace(file: file, line: line))
    }

    /// The value in the column with this name, in the same case of letters.
    ///
    /// - Throws: ``PostgresDecodingError``, also if no column has the name, or several.
    public func decode<Value: PostgresDecodable>(
        _ type: Value.Type, named name: String, file: StaticString = #fileID, line: UInt = #line
    ) throws(PostgresDecodingError) -> Value {
        let place = SourcePlace(file: file, line: line)
        guard let index = result.columns.firstIndex(where: { $0.name == name }) else {
            throw PostgresDecodingError(
                .noSuchColumn(available: columnNames), columnName: name, swiftType: "\(type)", at: place)
        }
        if result.columns[(index + 1)...].contains(where: { $0.name == name }) {
            throw PostgresDecodingError(.ambiguousColumn, columnName: name, swiftType: "\(type)", at: place)
        }
        return try value(type, at: index, place)
    }

    /// All values, as these types, one for each column.
    ///
    /// - Throws: ``PostgresDecodingError``.
    public func decode<each Value: PostgresDecodable>(
        _ types: (repeat each Value).Type, file: StaticString = #fileID, line: UInt = #line
    ) throws(PostgresDecodingError) -> (repeat each Value) {
        let place = SourcePlace(file: file, line: line)
        var wanted = 0
        for _ in repeat (each Value).self { wanted += 1 }
        guard wanted == count else {
            throw PostgresDecodingError(
                .wrongColumnCount(columns: count, wanted: wanted), swiftType: "\(types)", at: place)
        }
        var index = 0
        return (repeat try next((each Value).self, &index, place))
    }

    /// The only value.
    ///
    /// - Throws: ``PostgresDecodingError``, also if there are more columns.
    public func decode<Value: PostgresDecodable>(
        _ type: Value.Type, file: StaticString = #fileID, line: UInt = #line
    ) throws(PostgresDecodingError) -> Value {
        let place = SourcePlace(file: file, line: line)
        guard count == 1 else {
            throw PostgresDecodingError(.wrongColumnCount(columns: count, wanted: 1), swiftType: "\(type)", at: place)
        }
        return try value(type, at: 0, place)
    }

    private func next<Value: PostgresDecodable>(
        _ type: Value.Type, _ index: inout Int, _ place: SourcePlace
    ) throws(PostgresDecodingError) -> Value {
        defer { index += 1 }
        return try value(type, at: index, place)
    }

    private func value<Value: PostgresDecodable>(
        _ type: Value.Type, at index: Int, _ place: SourcePlace
    ) throws(PostgresDecodingError) -> Value {
        guard result.columns.indices.contains(index) else {
            throw PostgresDecodingError(
                .noSuchColumn(available: columnNames), columnIndex: index, swiftType: "\(type)", at: place)
        }
        let text = result.values[offset + index]
        let reason: PostgresDecodingError.Reason
        do {
            return try type.decode(
                PostgresValue(text: text, type: PostgresType(oid: result.columns[index].typeID)))
        } catch let error as PostgresDecodingError.Reason {
            reason = error
        } catch {
            // Its text may contain the value.
            reason = .custom(errorType: "\(Swift.type(of: error))")
        }
        throw PostgresDecodingError(
            reason, columnName: result.columns[index].name, columnIndex: index,
            postgresType: PostgresType(oid: result.columns[index].typeID), swiftType: "\(type)", at: place,
            value: text)
    }
}

extension Row: CustomStringConvertible, CustomDebugStringConvertible {
    /// The columns' names, without the values, which may be secret.
    public var description: String { "Row(\(columnNames.joined(separator: ", ")))" }

    /// Names and values.
    public var debugDescription: String {
        let values = result.columns.indices.map { index in
            "\(result.columns[index].name): \(result.values[offset + index] ?? "NULL")"
        }
        return "Row(\(values.joined(separator: ", ")))"
    }
}
