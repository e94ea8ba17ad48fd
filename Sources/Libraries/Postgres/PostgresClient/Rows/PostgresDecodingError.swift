/// A value, or a row, that cannot be read as wanted. The connection is not affected.
public struct PostgresDecodingError: Error, Sendable {
    /// Why a value cannot be read.
    public enum Reason: Error, Sendable, Hashable {
        /// The value is NULL, and the wanted type is not optional.
        case isNull
        /// An element of the array is NULL, and the wanted element type is not optional.
        case hasNullElement
        /// The column's type cannot be read as the wanted type.
        case wrongType
        /// The wanted type cannot hold the value: too great, or with more digits.
        case outOfRange
        /// The text is not that of a value of the column's type: another setting of the session, as a rule.
        case malformed
        /// An array of more than one dimension, or one whose indices do not begin at 1.
        case unsupportedArray
        /// `infinity`, `-infinity`, or a year that the wanted type does not have.
        case notADate
        /// No case of the enumeration has this raw value.
        case unknownRawValue
        /// The result has no column with this name, or at this index.
        case noSuchColumn(available: [String])
        /// Several columns have this name.
        case ambiguousColumn
        /// The row has another number of columns than types are wanted.
        case wrongColumnCount(columns: Int, wanted: Int)
        /// The result has no row, and one is wanted; or it has more than one.
        case wrongRowCount(Int)
        /// ``PostgresDecodable/decode(_:)`` threw an error of this type.
        case custom(errorType: String)
    }

    /// Why.
    public let reason: Reason
    /// The column's name; `nil` when the row as a whole is wrong.
    public let columnName: String?
    /// The column's index, from 0.
    public let columnIndex: Int?
    /// The column's type.
    public let postgresType: PostgresType?
    /// The Swift type that was wanted.
    public let swiftType: String
    /// Where: `Module/File.swift`.
    public let file: String
    /// The line in ``file``.
    public let line: UInt
    /// The value's text, which may be secret; only ``debugDescription`` shows it.
    public let value: String?

    init(
        _ reason: Reason, columnName: String? = nil, columnIndex: Int? = nil, postgresType: PostgresType? = nil,
        swiftType: String, at place: SourcePlace, value: String? = nil
    ) {
        self.reason = reason
        self.columnName = columnName
        self.columnIndex = columnIndex
        self.postgresType = postgresType
        self.swiftType = swiftType
        file = "\(place.file)"
        line = place.line
        self.value = value
    }
}

/// A place in the caller's source.
struct SourcePlace: Sendable {
    let file: StaticString
    let line: UInt
}

extension PostgresDecodingError: CustomStringConvertible, CustomDebugStringConvertible {
    /// What could not be read, why and where, without the value.
    public var description: String {
        var text = "cannot read "
        if let columnName { text += "column \"\(columnName)\" " }
        if let columnIndex { text += "(index \(columnIndex)) " }
        if let postgresType { text += "of type \(postgresType) " }
        text += "as \(swiftType): \(explanation) [\(file):\(line)]"
        return text
    }

    /// The same with the value.
    public var debugDescription: String { value.map { "\(description); the value is: \($0)" } ?? description }

    private var explanation: String {
        switch reason {
        case .isNull: "it is NULL; read it as \(swiftType)?"
        case .hasNullElement: "an element is NULL; read it as an array of optionals"
        case .wrongType: "the types do not match; cast in the statement, or read it as String"
        case .outOfRange: "\(swiftType) cannot hold the value exactly"
        case .malformed: "the text has another form; is a setting of the session changed, such as DateStyle?"
        case .unsupportedArray: "only arrays of one dimension whose indices begin at 1 can be read"
        case .notADate: "it is infinite, before the first year or too far away"
        case .unknownRawValue: "no case has this raw value"
        case .noSuchColumn(let available):
            "there is no such column; there are: \(available.isEmpty ? "none" : available.joined(separator: ", "))"
        case .ambiguousColumn: "several columns have this name; use the index, or rename them with `as`"
        case .wrongColumnCount(let columns, let wanted): "the row has \(columns) columns, and \(wanted) are wanted"
        case .wrongRowCount(let count): "the result has \(count) rows"
        case .custom(let type): "its decoding threw \(type)"
        }
    }
}
