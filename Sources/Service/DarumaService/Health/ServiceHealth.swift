package import DispatchLoop
package import DispatchPostgres
package import Logging

/// How the service is, for those who ask: load balancers, orchestrators, people. Everything is known before the question
/// comes, so that a storm of probes costs the database nothing.
@LoopActor
package final class ServiceHealth: PoolDelegate {
    private let pool: PostgresPool
    private let logger: Logger
    private let requiresDatabase: Bool
    private let loop = EventLoop.shared
    private var heartbeat: Heartbeat
    private var gate = ReadinessGate()
    private var timer: TimerID?
    /// Readiness fails from here on, liveness does not.
    package private(set) var isLeaving = false

    /// - Parameters:
    ///   - requiresDatabase: whether readiness depends on the database.
    ///   - livenessLimit: how late the loop's heartbeat may be.
    package init(pool: PostgresPool, requiresDatabase: Bool, livenessLimit: Duration, logger: Logger) {
        self.pool = pool
        self.requiresDatabase = requiresDatabase
        self.logger = logger
        heartbeat = Heartbeat(limit: livenessLimit, at: .now())
    }

    /// Begins to beat.
    package func start() {
        heartbeat = Heartbeat(limit: heartbeat.limit, at: .now())
        armTimer()
    }

    /// Beats no more.
    package func stop() {
        if let timer { loop.cancel(timer) }
        timer = nil
    }

    /// The service is on its way out.
    package func leave() { isLeaving = true }

    private func armTimer() {
        timer = loop.schedule(at: heartbeat.due) { [weak self] in self?.beat() }
    }

    private func beat() {
        if let stall = heartbeat.beat(at: loop.now) {
            logger.warning("the event loop stood still", metadata: ["for": .duration(stall.length)])
        }
        armTimer()
    }

    package func pool(_ pool: PostgresPool, did event: PoolEvent) {
        guard case .healthChanged(_, let health, _, let now) = event else { return }
        gate.databaseIs(health, at: now)
    }

    // MARK: What probes ask

    /// Whether the event loop keeps its time.
    package var isLive: Bool { heartbeat.isHealthy(at: loop.now) }

    /// A stall of the loop that goes on or is not long over.
    package var stall: (length: Duration, ago: Duration)? {
        heartbeat.stall(at: loop.now).map { ($0.length, loop.now - $0.end) }
    }

    /// Whether requests should be sent here.
    package var isReady: Bool { !isLeaving && (!requiresDatabase || gate.isReady(at: loop.now)) }

    /// How much longer the database has to stay before the service is ready, if that is what is waited for.
    package var readyIn: Duration? {
        requiresDatabase && !isLeaving ? gate.remaining(at: loop.now) : nil
    }

    /// What the pool knows and holds.
    package var database: PoolSnapshot { pool.snapshot }
}
