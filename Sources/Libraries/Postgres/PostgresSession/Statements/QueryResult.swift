/// A statement's result: its command tag, and its rows as text.
public struct QueryResult: Sendable, Hashable {
    /// A column, as the server describes it (PostgreSQL manual, 55.7, RowDescription).
    public struct Column: Sendable, Hashable {
        /// The column's name.
        public let name: String
        /// The OID of the table; 0 when the column is not a table's.
        public let tableID: UInt32
        /// The column's number in that table; 0 when it is not a table's.
        public let columnID: Int
        /// The OID of the type (`pg_type.oid`).
        public let typeID: UInt32
        /// The type's size in bytes; negative when it varies.
        public let typeSize: Int
        /// The type modifier; −1 when there is none.
        public let typeModifier: Int

        /// Creates a column description.
        public init(
            name: String, tableID: UInt32 = 0, columnID: Int = 0, typeID: UInt32, typeSize: Int, typeModifier: Int = -1
        ) {
            self.name = name
            self.tableID = tableID
            self.columnID = columnID
            self.typeID = typeID
            self.typeSize = typeSize
            self.typeModifier = typeModifier
        }
    }

    /// The command tag's first word, such as `SELECT`; empty for an empty statement.
    public let command: String
    /// The number of rows returned or affected; `nil` when the command tag has no such number.
    public let rowCount: Int?
    /// The columns, in order.
    public let columns: [Column]
    /// All values, row by row; `nil` is NULL.
    public let values: [String?]

    /// Creates a result; `values` holds whole rows of `columns.count` values each.
    public init(command: String, rowCount: Int?, columns: [Column], values: [String?]) {
        self.command = command
        self.rowCount = rowCount
        self.columns = columns
        self.values = values
    }

    /// The rows, of `columns.count` values each.
    public var rows: [ArraySlice<String?>] {
        guard !columns.isEmpty else { return [] }
        return stride(from: 0, to: values.count, by: columns.count).map { values[$0..<$0 + columns.count] }
    }
}
