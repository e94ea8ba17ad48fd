public import CoreMetrics
public import DispatchLoop
public import DispatchPostgres
public import MetricDescriptions
internal import PostgresSession

/// Exports a pool's metrics to any backend of swift-metrics.
///
/// ```swift
/// let metrics = PoolMetrics()
/// let pool = PostgresPool(configuration, observers: [metrics])
/// metrics.watch(pool)
/// ```
///
/// Events are counted as they happen. ``refresh()`` records the current values (connections by state, the current
/// outage): call it before a scrape, or every few seconds for a backend that sends them.
@LoopActor
public final class PoolMetrics: PoolObserver {
    /// The prefix of the metrics that OpenTelemetry does not define, unless another one is given.
    public nonisolated static let defaultPrefix = "db.pool"

    /// Kind, unit and help text of each metric, for backends that use them.
    public nonisolated static func descriptions(prefix: String = defaultPrefix) -> [MetricDescription] {
        PoolInstruments(prefix: prefix, poolName: "", factory: NOOPMetricsHandler.instance).descriptions
    }

    /// `true`.
    public let wantsMeasurements = true

    /// Weak, because the pool holds its observers.
    private weak var pool: PostgresPool?
    private let instruments: PoolInstruments
    private var attemptFailures: InstrumentsByCode<Counter>
    private var retries: InstrumentsByCode<Counter>
    private var failedQueries: InstrumentsByCode<Timer>
    /// Whether requests can use the database.
    private var isUp = false
    /// The time up to which the current outage has been counted; `nil` without an outage.
    private var outageCountedUntil: MonotonicTime?

    /// Codes that exist from the start, at zero, so that a rate includes the first event.
    private static let usualConnectFailures = [PostgresError.Code.refused, PostgresError.Code.connectTimeout, "57P03"]
    private static let usualRetries = [
        PostgresError.Code.ended, PostgresError.Code.reset, PostgresError.Code.queryTimeout, "57P01",
    ]

    /// Creates the metrics of one pool. Make them its observer, and call ``watch(_:)``.
    ///
    /// - Parameters:
    ///   - name: the pool's name, which distinguishes the pools of a program.
    ///   - prefix: the prefix of the metrics that OpenTelemetry does not define.
    ///   - factory: creates the metrics.
    public init(
        name: String = "default", prefix: String = defaultPrefix,
        factory: any MetricsFactory = MetricsSystem.factory
    ) {
        instruments = PoolInstruments(prefix: prefix, poolName: name, factory: factory)
        let instruments = instruments
        attemptFailures = InstrumentsByCode(known: Self.usualConnectFailures) {
            instruments.connectAttempts("failure", reason: $0)
        }
        retries = InstrumentsByCode(known: Self.usualRetries) { instruments.retries(reason: $0) }
        failedQueries = InstrumentsByCode { instruments.queries(errorType: $0) }
        instruments.lastTransition.record(Self.secondsSinceEpoch)
    }

    /// Records this pool's limits, and its values with each ``refresh()``.
    public func watch(_ pool: PostgresPool) {
        self.pool = pool
        instruments.connectionMax.record(pool.settings.maximum)
        instruments.connectionIdleMin.record(pool.settings.minimum)
        instruments.connectionIdleMax.record(pool.settings.maximumIdle ?? pool.settings.maximum)
        refresh()
    }

    // MARK: Events

    /// Counts an event.
    public func pool(_ pool: PostgresPool, did event: PoolEvent) {
        switch event {
        case .healthChanged(let from, let to, let outage, let now): healthChanged(from, to, outage, now)
        case .connected: instruments.connectSuccesses.increment()
        case .connectFailed(let error): attemptFailures[error.code].increment()
        case .closed(_, let reason, _):
            instruments.discards[reason]?.increment()
            instruments.abandonedAttempts[reason]?.increment()
        case .retried(let error): retries[error.code].increment()
        case .hedged: instruments.hedges.increment()
        case .connecting, .causeChanged, .growthFailed, .retirementPostponed: break
        }
    }

    /// Records a measurement. Called several times per query.
    public func pool(_ pool: PostgresPool, measured measurement: PoolMeasurement) {
        switch measurement {
        case .checkedOut(let wait): instruments.waitTime.recordNanoseconds(wait)
        case .returned(let use): instruments.useTime.recordNanoseconds(use)
        case .queried(let duration, let code, let wasSaved):
            if wasSaved { instruments.retriesSaved.increment() }
            let timer = code.map { failedQueries[$0] } ?? instruments.goodQueries
            timer.recordNanoseconds(duration)
        case .timedOut: instruments.timeouts.increment()
        case .refused(let kind): instruments.refusals[kind]?.increment()
        case .opened(let duration): instruments.createTime.recordNanoseconds(duration)
        }
    }

    private func healthChanged(_ from: DatabaseState, _ to: DatabaseState, _ outage: Outage?, _ now: MonotonicTime) {
        instruments.lastTransition.record(Self.secondsSinceEpoch)
        switch to {
        case .suspect: instruments.suspicions.increment()
        case .down, .misconfigured, .readOnly:
            if outageCountedUntil == nil {
                instruments.outages.increment()
                outageCountedUntil = outage?.since ?? now
            }
            isUp = false
        case .up:
            if outageCountedUntil != nil, let outage {
                instruments.recoveryTime.recordNanoseconds((now - outage.since).nanoseconds)
            }
            isUp = true
        case .draining, .closed: break
        }
        countOutage(until: now)
        if !to.failsAtOnce { outageCountedUntil = nil }
        recordState(to)
    }

    private func countOutage(until now: MonotonicTime) {
        guard let since = outageCountedUntil, now > since else { return }
        instruments.outageTime.increment(by: Double((now - since).nanoseconds) / 1e9)
        outageCountedUntil = now
    }

    // MARK: Current values

    /// Records the current values; does nothing before ``watch(_:)``.
    public func refresh() {
        guard let pool else { return }
        let snapshot = pool.snapshot
        let now = MonotonicTime.now()
        let wallNow = Self.secondsSinceEpoch
        let counts = [
            ("idle", snapshot.idle), ("used", snapshot.leased), ("connecting", snapshot.connecting),
            ("other", snapshot.other),
        ]
        for (state, count) in counts { instruments.connections[state]?.record(count) }
        instruments.pendingRequests.record(snapshot.waiters)
        instruments.lastSuccess.record(
            snapshot.latestReply.map { wallNow - Double((now - $0).nanoseconds) / 1e9 } ?? 0)
        instruments.nextAttempt.record(
            snapshot.nextAttempt.map { wallNow + Double($0.nanoseconds) / 1e9 } ?? 0)
        instruments.usualAnswer.record(snapshot.usualAnswer.map(Self.seconds) ?? 0)
        instruments.usualLogin.record(snapshot.usualLogin.map(Self.seconds) ?? 0)
        instruments.silenceLimit.record(Self.seconds(snapshot.silenceLimit))
        instruments.givenUp.record(snapshot.givenUp)
        instruments.overdue.record(snapshot.overdue)
        countOutage(until: now)
        recordState(snapshot.health)
    }

    private static func seconds(_ duration: Duration) -> Double { Double(duration.nanoseconds) / 1e9 }

    private func recordState(_ health: DatabaseState) {
        instruments.up.record(isUp ? 1 : 0)
        for (state, gauge) in instruments.states { gauge.record(state == health ? 1 : 0) }
    }

    private static var secondsSinceEpoch: Double {
        let now = WallClock.now()
        return Double(now.seconds) + Double(now.milliseconds) / 1e3
    }
}
