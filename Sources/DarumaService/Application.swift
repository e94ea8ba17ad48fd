package import DispatchHTTP
package import DispatchLoop
package import Logging
import PostgresConnection
package import PostgresPool

/// The service: a pool, an HTTP server in front of it, and the order in which they come and go.
@LoopActor
package final class Application {
    package let settings: ServiceSettings
    package let pool: PostgresPool
    private let logger: Logger
    /// Who hears of the pool.
    package let poolEvents = PoolEventFanOut()
    /// Who hears of the server.
    package let serverEvents = ServerEventFanOut()
    private var server: HTTPServer?
    /// Readiness fails from here on.
    package private(set) var isLeaving = false

    package init(_ settings: ServiceSettings, logger: Logger) {
        self.settings = settings
        self.logger = logger
        pool = PostgresPool(settings.database, settings: settings.pool)
        pool.delegate = poolEvents
        poolEvents.add(OutageLog(logger))
    }

    /// Listens, then connects. The database's absence is no reason not to start.
    package func start() throws(ListenError) {
        let routes = Routes(
            pool: pool, pingTimeout: settings.pingTimeout, pingFailureStatus: settings.pingFailureStatus,
            isLeaving: { [unowned self] in isLeaving })
        let server = HTTPServer(
            configuration: settings.http, responder: routes.router,
            observer: serverEvents.isEmpty ? nil : serverEvents)
        for address in try server.start() { logger.info("listening on http://\(address)") }
        self.server = server
        if let problem = settings.database.problem {
            logger.error("the database setting cannot be used", metadata: ["cause": "\(problem)"])
        } else {
            logger.info("using \(settings.database)")
        }
        pool.start()
    }

    /// Answers what is in flight and stops listening.
    package func leave() async {
        isLeaving = true
        logger.info("leaving: answering what is in flight")
        // The last part of the time is the pool's.
        let report = await server?.drain(deadline: .now() + settings.shutdownTimeout * 0.75)
        logger.info(
            "answered what was in flight",
            metadata: ["answered": "\(report?.answered ?? 0)", "cut-off": "\(report?.forced ?? 0)"])
    }

    /// Closes the sessions.
    package func closePool() async {
        await pool.close(deadline: .now() + settings.shutdownTimeout * 0.15)
        logger.info("closed all connections to the database")
    }
}
