internal import CLibPQ
internal import Glibc

/// The types of a statement's parameters.
final class ParameterTypes: Sendable, Hashable {
    /// As many as parameters; 0 lets the server infer one.
    let oids: [UInt32]
    let isPrepared: Bool
    /// What tells the prepared statement from the same text with other types. Never sent.
    let key: String

    init(_ oids: [UInt32], of sql: String, isPrepared: Bool) {
        self.oids = oids
        self.isPrepared = isPrepared
        key = isPrepared ? sql + "\0" + oids.map(String.init).joined(separator: ",") : sql
    }

    static func == (left: ParameterTypes, right: ParameterTypes) -> Bool {
        left === right || (left.oids == right.oids && left.isPrepared == right.isPrepared)
    }

    func hash(into hasher: inout Hasher) { hasher.combine(oids) }
}

/// A statement and its parameters.
package struct Statement: Sendable, Hashable {
    package let sql: String
    package let parameters: [String?]
    private let form: Form

    /// One word, as the flag alone would be: statements are copied several times for each query.
    private enum Form: Hashable {
        case text
        case prepared
        /// The parameters have types.
        case typed(ParameterTypes)
    }

    /// Whether the session keeps it prepared.
    package var isPrepared: Bool {
        switch form {
        case .text: false
        case .prepared: true
        case .typed(let types): types.isPrepared
        }
    }

    /// The OIDs of the parameters' types; empty lets the server infer them all.
    package var types: [UInt32] { if case .typed(let types) = form { types.oids } else { [] } }

    /// What the statement is prepared under: the text, and the types if there are any.
    var key: String { if case .typed(let types) = form { types.key } else { sql } }

    /// Maximum parameters: the protocol counts them in two bytes (PostgreSQL manual, 55.7, Bind).
    package static let maximumParameters = 65_535

    package init(_ sql: String) {
        self.sql = sql
        parameters = []
        form = .text
    }

    /// Validates before a session is involved. libpq rejects too many parameters as well, but its rejections look
    /// alike, and others leave part of the statement in its buffer, which costs the session.
    ///
    /// - Throws: `TOO_MANY_PARAMETERS`, or `NUL_CHARACTER`: libpq would cut the string silently, and PostgreSQL's text
    ///   cannot hold a NUL.
    package init(
        _ sql: String, parameters: [String?], types: [UInt32] = [], isPrepared: Bool
    ) throws(PostgresError) {
        guard parameters.count <= Self.maximumParameters else { throw Self.tooManyParameters(parameters.count) }
        guard !sql.hasNUL, !parameters.contains(where: { $0?.hasNUL ?? false }) else { throw Self.nulCharacter }
        self.sql = sql
        self.parameters = parameters
        form =
            types.isEmpty
            ? isPrepared ? .prepared : .text : .typed(ParameterTypes(types, of: sql, isPrepared: isPrepared))
    }

    /// An empty statement: a round trip that costs the server almost nothing.
    package static let roundTrip = Statement("")

    /// Passes a step of the statement to libpq; `false` when libpq refuses it and has sent nothing.
    func send(_ step: PreparedStatements.Step, on connection: OpaquePointer) -> Bool {
        switch step {
        case .text where parameters.isEmpty:
            PQsendQuery(connection, sql) == 1
        case .text:
            withParameters {
                PQsendQueryParams(connection, sql, Int32(parameters.count), typesForLibpq, $0, nil, nil, 0) == 1
            }
        case .prepare(let name):
            PQsendPrepare(connection, name, sql, Int32(typesForLibpq?.count ?? 0), typesForLibpq) == 1
        case .execute(let name) where parameters.isEmpty:
            // Passing the String directly would copy it to an array first.
            name.withCString { PQsendQueryPrepared(connection, $0, 0, nil, nil, nil, 0) == 1 }
        case .execute(let name):
            withParameters {
                PQsendQueryPrepared(connection, name, Int32(parameters.count), $0, nil, nil, 0) == 1
            }
        }
    }

    /// Passes the statement to libpq with the extended protocol, which takes one statement only, and asks for its rows one
    /// by one; `false` when libpq refuses it and has sent nothing.
    func sendForRows(on connection: OpaquePointer) -> Bool {
        withParameters {
            PQsendQueryParams(connection, sql, Int32(parameters.count), typesForLibpq, $0, nil, nil, 0) == 1
        } && PQsetSingleRowMode(connection) == 1
    }

    /// Passes the statement to libpq in pipeline mode with its own synchronization point, so that it is its own
    /// transaction and fails alone; `false` when libpq refuses it.
    func sendInPipeline(_ step: PreparedStatements.Step, on connection: OpaquePointer) -> Bool {
        let isSent =
            switch step {
            case .text:
                // A pipeline has no simple protocol.
                withParameters {
                    PQsendQueryParams(connection, sql, Int32(parameters.count), typesForLibpq, $0, nil, nil, 0) == 1
                }
            case .prepare(let name): send(step, on: connection) && send(.execute(name: name), on: connection)
            case .execute: send(step, on: connection)
            }
        return isSent && clibpq_put_pipeline_sync(connection) == 1
    }

    /// The type OIDs for libpq; `nil` when the server infers all types. libpq reads one OID per parameter, so a shorter array
    /// must not reach it.
    private var typesForLibpq: [UInt32]? {
        guard case .typed(let types) = form, types.oids.count == parameters.count else { return nil }
        return types.oids
    }

    private static let nulCharacter = PostgresError(
        code: PostgresError.Code.nulCharacter,
        message: "the statement, or one of its parameters, contains a NUL character",
        hint: "PostgreSQL's text has no NUL. Pass binary data as bytea: \\x and two hexadecimal digits for each byte.",
        disposition: .statement, wasNeverSent: true)

    private static func tooManyParameters(_ count: Int) -> PostgresError {
        PostgresError(
            code: PostgresError.Code.tooManyParameters,
            message: "the statement has \(count) parameters; at most \(maximumParameters) can be sent",
            hint: "Pass the values as one array: `id = any($1)`, or `insert into … select unnest($1::int[])`.",
            disposition: .statement, wasNeverSent: true)
    }

    /// The parameters as C strings; libpq copies the values before it returns.
    private func withParameters(_ body: ([UnsafePointer<CChar>?]) -> Bool) -> Bool {
        var bytes: [CChar] = []
        var offsets: [Int?] = []
        for parameter in parameters {
            offsets.append(parameter == nil ? nil : bytes.count)
            if let parameter { bytes.append(contentsOf: parameter.utf8CString) }
        }
        return bytes.withUnsafeBufferPointer { buffer in
            body(
                offsets.map { offset in
                    offset.flatMap { offset in buffer.baseAddress.map { UnsafePointer($0 + offset) } }
                })
        }
    }
}

extension String {
    fileprivate var hasNUL: Bool {
        utf8.withContiguousStorageIfAvailable { bytes in
            bytes.baseAddress.map { memchr($0, 0, bytes.count) != nil } ?? false
        } ?? utf8.contains(0)
    }
}

/// The decoded content of one PGresult.
enum StatementOutcome {
    case result(QueryResult)
    case failure(PostgresError)
    /// A COPY, whose protocol is not implemented here.
    case unsupported

    /// Reuses the earlier result's `columns` if they are equal, and replaces them otherwise.
    init(of result: OpaquePointer, reusing columns: inout [QueryResult.Column]) {
        switch PQresultStatus(result) {
        case PGRES_TUPLES_OK, PGRES_SINGLE_TUPLE, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
            self = .result(QueryResult(decoding: result, reusing: &columns))
        case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
            self = .unsupported
        default:
            self = .failure(ServerMessage.error(of: result, phase: .session))
        }
    }
}

extension QueryResult {
    fileprivate init(decoding result: OpaquePointer, reusing columns: inout [Column]) {
        let columnCount = PQnfields(result)
        let rowCount = PQntuples(result)
        Self.describe(result, reusing: &columns)
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

    /// Replaces `columns` unless the result has exactly these.
    static func describe(_ result: OpaquePointer, reusing columns: inout [Column]) {
        let count = PQnfields(result)
        if describes(columns, result, count) { return }
        columns = (0..<count).map { column in
            Column(
                name: PQfname(result, column).map { String(cString: $0) } ?? "",
                tableID: PQftable(result, column), columnID: Int(PQftablecol(result, column)),
                typeID: PQftype(result, column), typeSize: Int(PQfsize(result, column)),
                typeModifier: Int(PQfmod(result, column)))
        }
    }

    /// Whether the result has exactly these columns. Comparing is cheaper than creating them, and results that share
    /// their columns are cheaper to compare.
    private static func describes(_ columns: [Column], _ result: OpaquePointer, _ count: Int32) -> Bool {
        guard columns.count == Int(count) else { return false }
        for index in 0..<count {
            let column = columns[Int(index)]
            guard column.typeID == PQftype(result, index), column.typeModifier == Int(PQfmod(result, index)),
                column.tableID == PQftable(result, index), column.columnID == Int(PQftablecol(result, index)),
                column.typeSize == Int(PQfsize(result, index)), let name = PQfname(result, index),
                column.name.withCString({ strcmp(name, $0) }) == 0
            else { return false }
        }
        return true
    }

    /// The part of the tag before its numbers: "SELECT 1", "INSERT 0 1", "CREATE TABLE", "".
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

    static func text(_ result: OpaquePointer, _ row: Int32, _ column: Int32) -> String? {
        guard PQgetisnull(result, row, column) == 0, let value = PQgetvalue(result, row, column) else { return nil }
        let length = Int(PQgetlength(result, row, column))
        return value.withMemoryRebound(to: UInt8.self, capacity: length) {
            String(decoding: UnsafeBufferPointer(start: $0, count: length), as: UTF8.self)
        }
    }
}
