package import DispatchHTTP
package import DispatchLoop
package import DispatchPostgres
import HTTP1
import HTTPTypes
package import Logging
import PostgresSession

/// The routes for clients: `/` and `/ping`.
@LoopActor
package final class Routes {
    private let pool: PostgresPool
    private let pingTimeoutNanoseconds: Int64
    private let pingFailureStatus: HTTPResponse.Status
    private let cache = CachedPingResponse()
    private let logger: Logger

    package init(pool: PostgresPool, pingTimeout: Duration, pingFailureStatus: Int, logger: Logger) {
        self.logger = logger
        self.pool = pool
        pingTimeoutNanoseconds = pingTimeout.nanoseconds
        self.pingFailureStatus = pingFailureStatus == 503 ? .serviceUnavailable : .badRequest
    }

    package func add(to router: inout Router) {
        router.get("/", always: .json(.ok, .object([("status", .bool(true))])))
        router.get("/ping") { self.ping(id: $0.id) }
    }

    /// Checks a connection out, queries the database, and releases the connection.
    private func ping(id: String) -> RouteResult {
        .later { [self] in
            let deadline = EventLoop.shared.now.advanced(byNanoseconds: pingTimeoutNanoseconds)
            do {
                let connection = try await pool.checkOut(deadline: deadline)
                defer { pool.release(connection) }
                let result = try await connection.query(
                    "select 1", isIdempotent: true, isPrepared: true, deadline: deadline)
                return cache.response(to: result)
            } catch {
                return failure(error, id: id)
            }
        }
    }

    // Out of line, to keep the async frame of waiting tasks small.
    @inline(never)
    private func failure(_ error: any Error, id: String) -> Response {
        // At debug level, because the outage has its own lines.
        logger.debug("/ping failed", metadata: ["request-id": "\(id)", "cause": "\(error)"])
        return PingResponse.failure(error, status: pingFailureStatus)
    }
}

/// Caches the JSON of the latest result. `select 1` nearly always returns the same; each result is compared with the
/// cached one.
@LoopActor
private final class CachedPingResponse {
    private var result: QueryResult?
    private var response = Response(status: .ok)

    func response(to result: QueryResult) -> Response {
        if result != self.result {
            self.result = result
            response = PingResponse.success(result).prepared()
        }
        return response
    }
}
