internal import CLibPQ

/// Rows that libpq gives one by one (PostgreSQL manual, 34.6, Retrieving Query Results Row-By-Row).
struct StreamedRows {
    private(set) var count = 0
    /// Bytes of all values.
    private(set) var size = 0
    private var columns: [QueryResult.Column] = []
    private var values: [String?] = []

    /// Reuses `columns` if the row has the same, and replaces them otherwise.
    mutating func append(_ result: OpaquePointer, reusing columns: inout [QueryResult.Column]) {
        QueryResult.describe(result, reusing: &columns)
        if count == 0 {
            self.columns = columns
            values.reserveCapacity(StatementStream.rowLimit * columns.count)
        }
        for row in 0..<PQntuples(result) {
            count += 1
            for column in 0..<Int32(columns.count) {
                values.append(QueryResult.text(result, row, column))
                size += Int(PQgetlength(result, row, column))
            }
        }
    }

    var result: QueryResult {
        QueryResult(command: "", rowCount: nil, columns: columns, values: values)
    }
}
