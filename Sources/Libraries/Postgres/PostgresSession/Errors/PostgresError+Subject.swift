extension PostgresError {
    /// Detail, hint and subject. An object of its own: every result of a query has room for an error, and few have these.
    final class Extras: Sendable, Hashable {
        let detail: String?
        let hint: String?
        let subject: Subject?

        /// `nil` when there is nothing to hold.
        init?(detail: String?, hint: String?, subject: Subject?) {
            if detail == nil, hint == nil, subject == nil { return nil }
            self.detail = detail
            self.hint = hint
            self.subject = subject
        }

        static func == (left: Extras, right: Extras) -> Bool {
            left === right || (left.detail == right.detail && left.hint == right.hint && left.subject == right.subject)
        }

        func hash(into hasher: inout Hasher) {
            hasher.combine(detail)
            hasher.combine(hint)
            hasher.combine(subject)
        }
    }

    /// The server's or libpq's detail. May quote values of rows.
    public var detail: String? {
        get { extras?.detail }
        set { extras = Extras(detail: newValue, hint: hint, subject: subject) }
    }

    /// What to do about it. The server's own may quote values.
    public var hint: String? {
        get { extras?.hint }
        set { extras = Extras(detail: detail, hint: newValue, subject: subject) }
    }

    /// What the server's error concerns; `nil` when it names nothing.
    public var subject: Subject? {
        get { extras?.subject }
        set { extras = Extras(detail: detail, hint: hint, subject: newValue) }
    }

    /// What a server's error concerns (PostgreSQL manual, 55.8, Error and Notice Message Fields).
    public struct Subject: Sendable, Hashable {
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
