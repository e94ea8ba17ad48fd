package import DispatchHTTP
package import DispatchLoop
package import DispatchPostgres
package import Logging
import PostgresSession

/// The service: a pool, the main HTTP server, possibly an admin server, and the order in which they start and stop.
@LoopActor
package final class Application {
    package let settings: ServiceSettings
    package let pool: PostgresPool
    private let logger: Logger
    private let systemd: SystemdEnvironment
    private let systemdNotifier: SystemdNotifier?
    package let poolEvents: PoolEventFanOut
    /// The access log, the status page and the metrics.
    private var serverObservers: [any ServerObserver] = []
    private let identifier = RequestIdentifier()
    package let health: ServiceHealth
    private let status: StatusHub
    private var metrics: MetricsEndpoint?
    private var server: HTTPServer?
    private var adminServer: HTTPServer?

    // The shares of the shutdown timeout. Requests in flight may take most of it; the admin server need only close, and
    // the pool's sessions are idle by then. The remaining 5 % are for the last log lines, before `HardStop` ends the
    // process.
    private static let serverShare = 0.75
    private static let adminShare = 0.05
    private static let poolShare = 0.15

    /// - Parameter accessLog: the sink of the access log, if any.
    package init(
        _ settings: ServiceSettings, logger: Logger, accessLog: LogSink? = nil,
        systemd: SystemdEnvironment = SystemdEnvironment()
    ) {
        var settings = settings
        settings.database.setDefault("daruma", for: "fallback_application_name")
        self.settings = settings
        self.logger = logger
        self.systemd = systemd
        systemdNotifier = SystemdNotifier(systemd)
        poolEvents = PoolEventFanOut(wantsMeasurements: settings.keepsMetrics)
        pool = PostgresPool(settings.database, settings: settings.pool, observers: [poolEvents])
        poolEvents.add(OutageLog(logger))
        if let systemdNotifier { poolEvents.add(systemdNotifier) }
        health = ServiceHealth(
            pool: pool, requiresDatabase: settings.readyRequiresDatabase, livenessLimit: settings.livenessLimit,
            logger: logger)
        poolEvents.add(health)
        if let accessLog, settings.accessLog != .off {
            serverObservers.append(AccessLog(settings.accessLog, format: settings.logFormat, sink: accessLog))
        }
        status = StatusHub(pool: pool, viewerLimit: settings.statusMaxViewers)
        poolEvents.add(status)
        serverObservers.append(status)
        if settings.keepsMetrics {
            let metrics = MetricsEndpoint(pool: pool)
            poolEvents.add(metrics.poolListener)
            serverObservers.append(metrics.serverListener)
            self.metrics = metrics
        }
    }

    /// Listens, then connects. The service starts without its database.
    package func start() throws(ListenError) {
        let (main, admin) = routers()
        server = try listen(settings.http, main, sockets(forAdmin: false), "")
        if let admin {
            var configuration = settings.http
            configuration.host = settings.adminHost
            configuration.port = settings.adminPort ?? 0
            adminServer = try listen(configuration, admin, sockets(forAdmin: true), " (admin)")
        }
        for warning in settings.warnings { logger.warning("\(warning)") }
        // The pool reports an invalid setting, like any other cause.
        if settings.database.problem == nil { logger.info("using \(settings.database)") }
        for warning in settings.database.warnings { logger.warning("\(warning)") }
        health.start()
        pool.start()
        systemdNotifier?.ready()
    }

    /// The sockets from systemd. Those named `admin` are the admin server's.
    private func sockets(forAdmin: Bool) -> [Int32] {
        systemd.sockets.filter { ($0.name == "admin") == forAdmin }.map(\.descriptor)
    }

    /// The routes of the main port, and of the admin port, if any.
    private func routers() -> (main: Router, admin: Router?) {
        let routes = Routes(
            pool: pool, pingTimeout: settings.pingTimeout, pingFailureStatus: settings.pingFailureStatus,
            logger: logger)
        let healthRoutes = HealthRoutes(health)
        let adminRoutes = AdminRoutes(status: status, metrics: metrics)
        var main = Router(errorResponse: ErrorBody.response)
        routes.add(to: &main)
        healthRoutes.add(to: &main)
        guard settings.adminPort != nil || !sockets(forAdmin: true).isEmpty else {
            adminRoutes.add(to: &main)
            return (main, nil)
        }
        var admin = Router(errorResponse: ErrorBody.response)
        healthRoutes.add(to: &admin)
        adminRoutes.add(to: &admin)
        return (main, admin)
    }

    private func listen(
        _ configuration: ServerConfiguration, _ router: Router, _ descriptors: [Int32], _ purpose: String
    ) throws(ListenError) -> HTTPServer {
        var configuration = configuration
        configuration.errorResponse = ErrorBody.response
        let server = HTTPServer(configuration: configuration, responder: router, observers: serverObservers)
        server.requestIdentifier = { [identifier] in identifier.identify($0) }
        metrics?.watch(server, paths: router.paths)
        let origin = descriptors.isEmpty ? "" : " on an inherited socket"
        for address in try server.start(adopting: descriptors) {
            logger.info("listening on http://\(address)\(purpose)\(origin)")
        }
        return server
    }

    /// Drains the servers, then closes the pool, so that requests in flight keep their connections.
    package func shutDown() async {
        await drain()
        await closePool()
    }

    /// Fails readiness, serves for the drain delay, then stops listening and drains the requests in flight. The admin
    /// server closes after the main one, so that operators can watch.
    private func drain() async {
        health.shutDown()
        systemdNotifier?.stopping()
        adminServer?.announceDrain()
        let delay = settings.drainDelay
        if delay > .zero {
            logger.info("draining: readiness fails, still serving", metadata: ["for": .duration(delay)])
        }
        let report = await server?.drain(
            delay: delay, deadline: .now() + delay + settings.shutdownTimeout * Self.serverShare,
            stopsAccepting: { [logger] in logger.info("shutting down: draining requests") })
        logger.info(
            "drained requests",
            metadata: [
                "answered": .stringConvertible(report?.answered ?? 0),
                "cut-off": .stringConvertible(report?.forced ?? 0),
            ])
        _ = await adminServer?.drain(deadline: .now() + settings.shutdownTimeout * Self.adminShare)
    }

    private func closePool() async {
        health.stop()
        await pool.close(deadline: .now() + settings.shutdownTimeout * Self.poolShare)
        logger.info("closed all connections to the database")
    }
}
