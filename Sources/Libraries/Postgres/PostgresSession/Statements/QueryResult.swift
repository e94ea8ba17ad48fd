/// What a statement gave: its command tag, and its rows as text.
public struct QueryResult: Sendable, Hashable {
    /// A column, as the server describes it (PostgreSQL manual, 55.7, RowDescription).
    public struct Column: Sendable, Hashable {
        /// The column's name.
        public let name: String
        /// The OID of the table it comes from; 0 when it is not a table's column.
        public let tableID: UInt32
        /// Its number in that table; 0 when it is not a table's column.
        public let columnID: Int
        /// The OID of its type (`pg_type.oid`).
        public let typeID: UInt32
        /// The type's size in bytes; negative when it varies.
        public let typeSize: Int
        /// The type modifier; −1 when there is none.
        public let typeModifier: Int

        /// A column with the given description.
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
    /// The number of rows that the command returned or touched; `nil` where the command has no such number.
    public let rowCount: Int?
    /// The columns, in order.
    public let columns: [Column]
    /// All values, row after row; `nil` is NULL.
    public let values: [String?]

    /// A result with the given parts; `values` holds whole rows of `columns.count` values each.
    public init(command: String, rowCount: Int?, columns: [Column], values: [String?]) {
        self.command = command
        self.rowCount = rowCount
        self.columns = columns
        self.values = values
    }

    /// The rows, each as many values as there are columns.
    public var rows: [ArraySlice<String?>] {
        guard !columns.isEmpty else { return [] }
        return stride(from: 0, to: values.count, by: columns.count).map { values[$0..<$0 + columns.count] }
    }
}
