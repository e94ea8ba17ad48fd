package import DispatchLoop
package import DispatchPostgres
package import Logging

/// Liveness and readiness, answered from memory: probes never cost a query.
@LoopActor
package final class ServiceHealth: PoolObserver {
    private let pool: PostgresPool
    private let logger: Logger
    private let requiresDatabase: Bool
    private let loop = EventLoop.shared
    private var heartbeat: Heartbeat
    private var gate = ReadinessGate()
    private var timer: TimerID?
    /// Whether the shutdown has begun: readiness fails, liveness does not.
    package private(set) var isShuttingDown = false

    /// - Parameters:
    ///   - requiresDatabase: whether readiness depends on the database.
    ///   - livenessLimit: how late the loop's heartbeat may be.
    package init(pool: PostgresPool, requiresDatabase: Bool, livenessLimit: Duration, logger: Logger) {
        self.pool = pool
        self.requiresDatabase = requiresDatabase
        self.logger = logger
        heartbeat = Heartbeat(limit: livenessLimit, at: .now())
    }

    /// Starts the heartbeat.
    package func start() {
        heartbeat = Heartbeat(limit: heartbeat.limit, at: .now())
        armTimer()
    }

    /// Stops the heartbeat.
    package func stop() {
        if let timer { loop.cancel(timer) }
        timer = nil
    }

    /// Begins the shutdown: readiness fails from now on.
    package func shutDown() { isShuttingDown = true }

    private func armTimer() {
        timer = loop.schedule(at: heartbeat.due) { [weak self] in self?.beat() }
    }

    private func beat() {
        if let stall = heartbeat.beat(at: loop.now) {
            logger.warning("the event loop stalled", metadata: ["for": .duration(stall.length)])
        }
        armTimer()
    }

    package func pool(_ pool: PostgresPool, did event: PoolEvent) {
        guard case .healthChanged(_, let health, _, let now) = event else { return }
        gate.databaseIs(health, at: now)
    }

    // MARK: Answers to probes

    /// Whether the event loop runs on time.
    package var isLive: Bool { heartbeat.isHealthy(at: loop.now) }

    /// The current or latest stall of the loop.
    package var stall: (length: Duration, ago: Duration)? {
        heartbeat.stall(at: loop.now).map { ($0.length, loop.now - $0.end) }
    }

    /// Whether load balancers should send requests.
    package var isReady: Bool { !isShuttingDown && (!requiresDatabase || gate.isReady(at: loop.now)) }

    /// How much longer the database must stay up before the service is ready.
    package var readyIn: Duration? {
        requiresDatabase && !isShuttingDown ? gate.remaining(at: loop.now) : nil
    }

    package var database: PoolSnapshot { pool.snapshot }
}
