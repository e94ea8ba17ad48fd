import DispatchPostgres
import HTTP1
import HTTPTypes
import PostgresSession

/// What `/ping` says, as a function of what came of it.
enum PingResponse {
    /// 200 with the result, in the shape in which node-postgres gives it.
    static func success(_ result: QueryResult) -> Response {
        json(.ok, .object([("status", .bool(true)), ("result", describe(result))]))
    }

    /// The failure status with what is known of the cause. Nothing in it is secret: ``PostgresError`` and ``PoolError``
    /// are made to be shown; where the server is, is for the log.
    static func failure(_ error: any Error, status: HTTPResponse.Status) -> Response {
        json(status, .object([("status", .bool(false)), ("error", describe(error))]))
    }

    static func json(_ status: HTTPResponse.Status, _ value: JSONValue) -> Response {
        Response(
            status: status,
            fields: [.contentType: "application/json; charset=utf-8", .cacheControl: "no-store"],
            body: value.bytes())
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

    /// Numbers as numbers where JavaScript's hold them, as in the original; `bigint` and `numeric` stay text.
    static func value(_ text: String?, typeID: UInt32) -> JSONValue {
        guard let text else { return .null }
        switch typeID {
        case 16: return .bool(text == "t")  // bool
        case 21, 23, 26: return Int(text).map(JSONValue.integer) ?? .string(text)  // int2, int4, oid
        case 700, 701:  // float4, float8; NaN and Infinity have no JSON
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
        if let duration = error.outageDuration { members.append(("downForMs", .integer(duration.milliseconds))) }
        if let next = error.nextAttempt { members.append(("nextTryInMs", .integer(next.milliseconds))) }
        return members
    }
}
