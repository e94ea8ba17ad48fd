package import DispatchHTTP
package import DispatchLoop
package import DispatchPostgres
package import Logging
import PostgresSession

/// The service: a pool, an HTTP server in front of it, perhaps another one for operators, and the order in which they
/// come and go.
@LoopActor
package final class Application {
    package let settings: ServiceSettings
    package let pool: PostgresPool
    private let logger: Logger
    /// Who started the process, and what was handed over.
    private let manager: SystemdEnvironment
    private let systemdNotifier: SystemdNotifier?
    /// Who hears of the pool.
    package let poolEvents = PoolEventFanOut()
    /// Who hears of the servers.
    package let serverEvents = ServerEventFanOut()
    private let identifier = RequestIdentifier()
    /// What probes are told.
    package let health: ServiceHealth
    private let status: StatusHub
    private var metrics: MetricsEndpoint?
    private var server: HTTPServer?
    /// Where operators are answered, if that is not where everybody is.
    private var adminServer: HTTPServer?

    /// The last part of the time for leaving is the pool's, and a little before it the operators'.
    private static let serverShare = 0.75
    private static let adminShare = 0.05
    private static let poolShare = 0.15
    /// When tasks that still wait are cancelled. The rest of the time is for the last lines of the log.
    private static let cancellationShare = 0.97

    /// - Parameter accessLog: where the lines about requests go, if they are wanted.
    package init(
        _ settings: ServiceSettings, logger: Logger, accessLog: LogSink? = nil,
        manager: SystemdEnvironment = SystemdEnvironment()
    ) {
        self.settings = settings
        self.logger = logger
        self.manager = manager
        systemdNotifier = SystemdNotifier(manager)
        pool = PostgresPool(settings.database, settings: settings.pool)
        pool.delegate = poolEvents
        poolEvents.add(OutageLog(logger))
        if let systemdNotifier { poolEvents.add(systemdNotifier) }
        health = ServiceHealth(
            pool: pool, requiresDatabase: settings.readyRequiresDatabase, livenessLimit: settings.livenessLimit,
            logger: logger)
        poolEvents.add(health)
        if let accessLog, let scope = settings.accessLog.scope {
            serverEvents.add(AccessLog(scope, format: settings.logFormat, sink: accessLog))
        }
        status = StatusHub(pool: pool, viewerLimit: settings.statusMaxViewers)
        poolEvents.add(status)
        serverEvents.add(status)
        if settings.keepsMetrics {
            let metrics = MetricsEndpoint(pool: pool)
            poolEvents.add(metrics.poolListener, measures: true)
            serverEvents.add(metrics.serverListener)
            self.metrics = metrics
        }
    }

    /// Listens, then connects. The database's absence is no reason not to start.
    package func start() throws(ListenError) {
        let (main, admin) = routers()
        server = try listen(settings.http, main, sockets(forOperators: false), "")
        if let admin {
            var configuration = settings.http
            configuration.host = settings.adminHost
            configuration.port = settings.adminPort ?? 0
            adminServer = try listen(configuration, admin, sockets(forOperators: true), " for operators")
        }
        // What is wrong with a setting the log hears from the pool, like every other reason.
        if settings.database.problem == nil { logger.info("using \(settings.database)") }
        for warning in settings.database.warnings { logger.warning("\(warning)") }
        health.start()
        pool.start()
        systemdNotifier?.ready()
    }

    /// The descriptors of the sockets that the service manager has opened; those called `admin` are the operators'.
    private func sockets(forOperators: Bool) -> [Int32] {
        manager.sockets.filter { ($0.name == "admin") == forOperators }.map(\.descriptor)
    }

    /// Who answers what on the main port, and on the operators' if there is one.
    private func routers() -> (main: Router, admin: Router?) {
        let routes = Routes(
            pool: pool, pingTimeout: settings.pingTimeout, pingFailureStatus: settings.pingFailureStatus,
            logger: logger)
        let healthRoutes = HealthRoutes(health)
        let adminRoutes = AdminRoutes(status: status, metrics: metrics)
        var main = Router()
        routes.add(to: &main)
        healthRoutes.add(to: &main)
        guard settings.adminPort != nil || !sockets(forOperators: true).isEmpty else {
            adminRoutes.add(to: &main)
            return (main, nil)
        }
        var admin = Router()
        healthRoutes.add(to: &admin)
        adminRoutes.add(to: &admin)
        return (main, admin)
    }

    private func listen(
        _ configuration: ServerConfiguration, _ router: Router, _ descriptors: [Int32], _ purpose: String
    ) throws(ListenError) -> HTTPServer {
        let server = HTTPServer(
            configuration: configuration, responder: router, observer: serverEvents.isEmpty ? nil : serverEvents)
        server.requestIdentifier = { [identifier] in identifier.identify($0) }
        metrics?.watch(server, paths: router.paths)
        let origin = descriptors.isEmpty ? "" : ", by a socket that was handed over"
        for address in try server.start(adopting: descriptors) {
            logger.info("listening on http://\(address)\(purpose)\(origin)")
        }
        return server
    }

    /// Answers what is in flight, then closes the sessions: requests in flight keep their connections. Whatever still
    /// waits when the time for leaving is over is cancelled.
    package func leave() async {
        let leaving = Task {
            await drain()
            await closePool()
        }
        let alarm = Task {
            try await Task.sleep(for: settings.drainDelay + settings.shutdownTimeout * Self.cancellationShare)
            leaving.cancel()
        }
        await leaving.value
        alarm.cancel()
    }

    /// Fails readiness and makes each answer say `Connection: close`, waits for the drain delay, then stops listening and
    /// answers the requests in flight. The admin server closes after the main one, so that operators can look until then.
    private func drain() async {
        health.leave()
        systemdNotifier?.stopping()
        adminServer?.announceDrain()
        let delay = settings.drainDelay
        if delay > .zero { logger.info("not ready any more; serving on", metadata: ["for": .duration(delay)]) }
        let report = await server?.drain(
            delay: delay, deadline: .now() + delay + settings.shutdownTimeout * Self.serverShare,
            stopsAccepting: { [logger] in logger.info("leaving: answering what is in flight") })
        logger.info(
            "answered what was in flight",
            metadata: [
                "answered": .stringConvertible(report?.answered ?? 0),
                "cut-off": .stringConvertible(report?.forced ?? 0),
            ])
        _ = await adminServer?.drain(deadline: .now() + settings.shutdownTimeout * Self.adminShare)
    }

    /// Closes the sessions.
    private func closePool() async {
        health.stop()
        await pool.close(deadline: .now() + settings.shutdownTimeout * Self.poolShare)
        logger.info("closed all connections to the database")
    }
}
