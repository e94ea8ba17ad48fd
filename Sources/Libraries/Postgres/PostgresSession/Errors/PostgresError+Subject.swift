extension PostgresError {
    /// What a server's error concerns (PostgreSQL manual, 55.8, Error and Notice Message Fields). An object of its own,
    /// because most results are no errors, and each carries the room for one.
    public final class Subject: Sendable, Hashable {
        /// The schema of the table, type or constraint.
        public let schema: String?
        /// The table.
        public let table: String?
        /// The column of ``table``.
        public let column: String?
        /// The data type.
        public let dataType: String?
        /// The constraint. A unique index counts as one.
        public let constraint: String?
        /// The place in the statement's text, in characters from 1.
        public let position: Int?

        /// Creates a subject.
        public init(
            schema: String? = nil, table: String? = nil, column: String? = nil, dataType: String? = nil,
            constraint: String? = nil, position: Int? = nil
        ) {
            self.schema = schema
            self.table = table
            self.column = column
            self.dataType = dataType
            self.constraint = constraint
            self.position = position
        }

        private var all: [String?] { [schema, table, column, dataType, constraint, position.map(String.init)] }

        /// Whether both name the same.
        public static func == (left: Subject, right: Subject) -> Bool { left.all == right.all }

        /// Hashes all names.
        public func hash(into hasher: inout Hasher) { hasher.combine(all) }
    }

    /// The error code, if it is the server's.
    public var sqlState: SQLState? { severity == nil ? nil : SQLState(rawValue: code) }
    /// The schema of the table, type or constraint that the error concerns.
    public var schema: String? { subject?.schema }
    /// The table that the error concerns.
    public var table: String? { subject?.table }
    /// The column of ``table`` that the error concerns.
    public var column: String? { subject?.column }
    /// The data type that the error concerns.
    public var dataType: String? { subject?.dataType }
    /// The constraint that was violated.
    public var constraint: String? { subject?.constraint }
    /// The place of the error in the statement's text, in characters from 1.
    public var position: Int? { subject?.position }
}

extension PostgresError: CustomDebugStringConvertible {
    /// Everything, values of rows and parameters included. Not for a log that others read.
    public var debugDescription: String {
        let parts: [(String, String?)] = [
            ("detail", detail), ("hint", hint), ("schema", schema), ("table", table), ("column", column),
            ("type", dataType), ("constraint", constraint), ("position", position.map(String.init)),
        ]
        return parts.reduce(description) { text, part in part.1.map { "\(text); \(part.0): \($0)" } ?? text }
    }
}
