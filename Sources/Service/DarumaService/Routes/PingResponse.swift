import DispatchPostgres
import HTTP1
import HTTPTypes
import PostgresSession

/// The answers of `/ping`.
enum PingResponse {
    /// 200 with the result in the form of node-postgres.
    static func success(_ result: QueryResult) -> Response {
        .json(.ok, .object([("status", .bool(true)), ("result", describe(result))]))
    }

    /// The failure status with the cause. It contains no secret: the errors hold no password, those of `select 1` quote
    /// no row, and only the log names the server's address.
    static func failure(_ error: any Error, status: HTTPResponse.Status) -> Response {
        .json(status, .object([("status", .bool(false)), ("error", describe(error))]))
    }

    // MARK: Results

    private static func describe(_ result: QueryResult) -> JSONValue {
        let rows = result.rows.map { row in
            JSONValue.object(zip(result.columns, row).map { ($0.name, value($1, typeID: $0.typeID)) })
        }
        let fields = result.columns.map { column in
            JSONValue.object([
                ("name", .string(column.name)), ("tableID", .integer(Int(column.tableID))),
                ("columnID", .integer(column.columnID)), ("dataTypeID", .integer(Int(column.typeID))),
                ("dataTypeSize", .integer(column.typeSize)), ("dataTypeModifier", .integer(column.typeModifier)),
                ("format", .string("text")),
            ])
        }
        return .object([
            ("command", .string(result.command)), ("rowCount", result.rowCount.map(JSONValue.integer) ?? .null),
            ("rows", .array(rows)), ("fields", .array(fields)),
        ])
    }

    /// A JSON number if JavaScript can hold it, as in the original service; `bigint` and `numeric` stay text.
    static func value(_ text: String?, typeID: UInt32) -> JSONValue {
        guard let text else { return .null }
        switch typeID {
        case 16: return .bool(text == "t")  // bool
        case 21, 23, 26: return Int(text).map(JSONValue.integer) ?? .string(text)  // int2, int4, oid
        case 700, 701:  // float4, float8; JSON has no NaN and no Infinity
            return Double(text).map { $0.isFinite } == true ? .number(text) : .string(text)
        default: return .string(text)
        }
    }

    // MARK: Errors

    private static func describe(_ error: any Error) -> JSONValue {
        switch error {
        case let error as PostgresError: .object(members(of: error))
        case let error as PoolError: .object(members(of: error))
        default: .object([("code", .string("INTERNAL")), ("message", .string("the request could not be served"))])
        }
    }

    private static func members(of error: PostgresError) -> [(String, JSONValue)] {
        var members: [(String, JSONValue)] = [("code", .string(error.code))]
        if let severity = error.severity { members.append(("severity", .string(severity.rawValue))) }
        members.append(("message", .string(error.message)))
        if let detail = error.detail { members.append(("detail", .string(detail))) }
        if let hint = error.hint { members.append(("hint", .string(hint))) }
        return members
    }

    private static func members(of error: PoolError) -> [(String, JSONValue)] {
        var members =
            error.cause.map { Self.members(of: $0) } ?? [
                ("code", .string(error.code)), ("message", .string(error.message)),
            ]
        members.append(("state", .string(error.kind == .saturated ? "saturated" : error.health.rawValue)))
        if let duration = error.outageDuration { members.append(("downForMs", .integer(duration.wholeMilliseconds))) }
        if let next = error.nextAttempt { members.append(("nextTryInMs", .integer(next.wholeMilliseconds))) }
        return members
    }
}
