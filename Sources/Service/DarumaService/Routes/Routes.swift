package import DispatchHTTP
package import DispatchLoop
package import DispatchPostgres
import HTTP1
import HTTPTypes
package import Logging
import PostgresSession

/// What clients ask: `/` and `/ping`.
@LoopActor
package final class Routes {
    private let pool: PostgresPool
    private let pingTimeoutNanoseconds: Int64
    private let pingFailureStatus: HTTPResponse.Status
    private let memo = CachedPingResponse()

    private let logger: Logger

    package init(pool: PostgresPool, pingTimeout: Duration, pingFailureStatus: Int, logger: Logger) {
        self.logger = logger
        self.pool = pool
        pingTimeoutNanoseconds = pingTimeout.nanoseconds
        self.pingFailureStatus = pingFailureStatus == 503 ? .serviceUnavailable : .badRequest
    }

    /// What clients ask.
    package func add(to router: inout Router) {
        router.get("/", always: PingResponse.json(.ok, .object([("status", .bool(true))])))
        router.get("/ping") { self.ping(id: $0.id) }
    }

    /// Checks a connection out, asks the database, and gives the connection back, whatever came of it.
    private func ping(id: String) -> RouteResult {
        .later { [self] in
            let deadline = EventLoop.shared.now.advanced(byNanoseconds: pingTimeoutNanoseconds)
            do {
                let connection = try await pool.checkOut(deadline: deadline)
                defer { pool.release(connection) }
                let result = try await connection.query(
                    "select 1", isIdempotent: true, isPrepared: true, deadline: deadline)
                return memo.response(to: result)
            } catch {
                return failure(error, id: id)
            }
        }
    }

    // Apart, and never inlined: what it works with would be a part of the memory of every task that waits.
    @inline(never)
    private func failure(_ error: any Error, id: String) -> Response {
        // One line for each would be a flood: the outage has its own.
        logger.debug("/ping failed", metadata: ["request-id": "\(id)", "cause": "\(error)"])
        return PingResponse.failure(error, status: pingFailureStatus)
    }
}

/// The latest good answer and what it was made from. `select 1` gives the same again and again; its JSON is made once,
/// and compared with what the database really said each time.
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
