internal import CLibPQ

/// A statement and its parameters, ready to be sent.
package struct Statement: Sendable, Hashable {
    package let sql: String
    package let parameters: [String?]

    package init(_ sql: String, parameters: [String?] = []) {
        self.sql = sql
        self.parameters = parameters
    }

    /// An empty statement: one round trip that costs the server nothing.
    package static let roundTrip = Statement("")

    /// Hands the statement to libpq; `false` when libpq refuses it. Nothing has been sent then.
    func send(on connection: OpaquePointer) -> Bool {
        if parameters.isEmpty { return PQsendQuery(connection, sql) == 1 }
        // libpq copies the values before it returns.
        var bytes: [CChar] = []
        var offsets: [Int?] = []
        for parameter in parameters {
            offsets.append(parameter == nil ? nil : bytes.count)
            if let parameter { bytes.append(contentsOf: parameter.utf8CString) }
        }
        return bytes.withUnsafeBufferPointer { buffer in
            let values = offsets.map { offset in
                offset.flatMap { offset in buffer.baseAddress.map { UnsafePointer($0 + offset) } }
            }
            return PQsendQueryParams(connection, sql, Int32(parameters.count), nil, values, nil, nil, 0) == 1
        }
    }
}

/// What one PGresult amounts to.
enum StatementOutcome {
    case result(QueryResult)
    case failure(PostgresError)
    /// A COPY, which needs a conversation that this connection does not hold.
    case unsupported

    init(of result: OpaquePointer) {
        switch PQresultStatus(result) {
        case PGRES_TUPLES_OK, PGRES_SINGLE_TUPLE, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
            self = .result(QueryResult(decoding: result))
        case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
            self = .unsupported
        default:
            self = .failure(ServerMessage.error(of: result, phase: .session))
        }
    }
}

extension QueryResult {
    fileprivate init(decoding result: OpaquePointer) {
        let columnCount = PQnfields(result)
        let rowCount = PQntuples(result)
        var columns: [Column] = []
        columns.reserveCapacity(Int(columnCount))
        for column in 0..<columnCount {
            columns.append(
                Column(
                    name: PQfname(result, column).map { String(cString: $0) } ?? "",
                    tableID: PQftable(result, column), columnID: Int(PQftablecol(result, column)),
                    typeID: PQftype(result, column), typeSize: Int(PQfsize(result, column)),
                    typeModifier: Int(PQfmod(result, column))))
        }
        var values: [String?] = []
        values.reserveCapacity(Int(columnCount) * Int(rowCount))
        for row in 0..<rowCount {
            for column in 0..<columnCount {
                values.append(Self.text(result, row, column))
            }
        }
        let command = PQcmdStatus(result).map(Self.command) ?? ""
        let touched = PQcmdTuples(result).flatMap { Int(String(cString: $0)) }
        self.init(command: command, rowCount: touched, columns: columns, values: values)
    }

    /// "SELECT 1", "INSERT 0 1", "CREATE TABLE", "": the command is what stands before the numbers.
    private static func command(inTag tag: UnsafeMutablePointer<CChar>) -> String {
        var length = 0
        while tag[length] != 0 {
            let next = UInt8(bitPattern: tag[length + 1])
            if tag[length] == CChar(UInt8(ascii: " ")), (0x30...0x39).contains(next) { break }
            length += 1
        }
        return tag.withMemoryRebound(to: UInt8.self, capacity: length) {
            String(decoding: UnsafeBufferPointer(start: $0, count: length), as: UTF8.self)
        }
    }

    private static func text(_ result: OpaquePointer, _ row: Int32, _ column: Int32) -> String? {
        guard PQgetisnull(result, row, column) == 0, let value = PQgetvalue(result, row, column) else { return nil }
        let length = Int(PQgetlength(result, row, column))
        return value.withMemoryRebound(to: UInt8.self, capacity: length) {
            String(decoding: UnsafeBufferPointer(start: $0, count: length), as: UTF8.self)
        }
    }
}
