package import DispatchHTTP
package import DispatchLoop
import HTTP1
import HTTPTypes
import PostgresConnection
package import PostgresPool

/// What the service answers where.
@LoopActor
package struct Routes {
    private let pool: PostgresPool
    private let pingTimeout: Duration
    private let pingFailureStatus: HTTPResponse.Status
    private let memo = PingMemo()
    private let isLeaving: @LoopActor () -> Bool

    package init(
        pool: PostgresPool, pingTimeout: Duration, pingFailureStatus: Int, isLeaving: @escaping @LoopActor () -> Bool
    ) {
        self.pool = pool
        self.pingTimeout = pingTimeout
        self.pingFailureStatus = HTTPResponse.Status(code: pingFailureStatus)
        self.isLeaving = isLeaving
    }

    /// What clients ask.
    package func addService(to router: inout Router) {
        router.get("/", always: Self.good)
        router.get("/ping") { _ in .later { await ping() } }
    }

    /// What orchestrators ask; answered on every port, and also when all places for connections are taken.
    package func addProbes(to router: inout Router) {
        router.get("/livez", always: Self.good)
        router.get("/readyz") { _ in .now(readiness()) }
        router.setEssential("/livez", "/readyz")
    }

    private static let good = PingAnswer.json(.ok, .object([("status", .bool(true))]))

    /// Checks a connection out, asks the database, and gives the connection back, whatever came of it.
    private func ping() async -> Response {
        let deadline = EventLoop.shared.now + pingTimeout
        do {
            let connection = try await pool.checkOut(deadline: deadline)
            defer { pool.release(connection) }
            let result = try await connection.query(
                "select 1", isRepeatable: true, isPrepared: true, deadline: deadline)
            return memo.response(to: result)
        } catch {
            return PingAnswer.failure(error, status: pingFailureStatus)
        }
    }

    /// Ready until the service leaves. Not a matter of the database: when all replicas share one, that would take `/`
    /// away everywhere at once. The body says how the database is.
    private func readiness() -> Response {
        let snapshot = pool.snapshot
        var database: [(String, JSONValue)] = [("state", .string(snapshot.health.rawValue))]
        if let outage = snapshot.outage, let duration = snapshot.outageDuration {
            database.append(("code", .string(outage.cause.code)))
            database.append(("message", .string(outage.cause.message)))
            database.append(("downForMs", .integer(duration.milliseconds)))
        }
        let leaving = isLeaving()
        var response = PingAnswer.json(
            leaving ? .serviceUnavailable : .ok,
            .object([("status", .bool(!leaving)), ("database", .object(database))]))
        if leaving { response.fields[.retryAfter] = "1" }
        return response
    }
}

/// The latest good answer and what it was made from. `select 1` gives the same again and again; its JSON is made once,
/// and compared with what the database really said each time.
@LoopActor
private final class PingMemo {
    private var result: QueryResult?
    private var response = Response(status: .ok)

    func response(to result: QueryResult) -> Response {
        if result != self.result {
            self.result = result
            response = PingAnswer.success(result).prepared()
        }
        return response
    }
}
