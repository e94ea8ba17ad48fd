public import CoreMetrics
public import DispatchLoop
public import DispatchPostgres
public import MetricDescriptions
internal import PostgresSession

/// Turns what a pool reports into metrics, for whatever backend swift-metrics has been given.
///
/// ```swift
/// let metrics = PoolMetrics(of: pool)
/// pool.delegate = metrics
/// ```
///
/// What happens is counted as it happens. What merely is – connections by state, the outage that goes on – is written by
/// ``refresh()``: call it before the values are read, or every few seconds where they are sent.
@LoopActor
public final class PoolMetrics: PoolDelegate {
    /// What the metrics mean, for backends that want to know.
    public nonisolated static var descriptions: [MetricDescription] { PoolMetric.all }

    private let pool: PostgresPool
    private let instruments: PoolInstruments
    private var attemptFailures: CodeCounters
    private var retries: CodeCounters
    private var failedQueries: [String: Timer] = [:]
    /// Whether there is a database, as far as requests were told.
    private var isUp = false
    /// Up to when the outage that goes on has been added to the counter; `nil` while there is none.
    private var outageCountedUntil: MonotonicTime?

    /// What is counted from zero, so that a rate sees the first one too.
    private static let usualConnectFailures = [PostgresError.Code.refused, PostgresError.Code.connectTimeout, "57P03"]
    private static let usualRetries = [
        PostgresError.Code.ended, PostgresError.Code.reset, PostgresError.Code.queryTimeout, "57P01",
    ]
    /// The most error codes that queries are told apart by.
    private static let queryCodeLimit = 100

    /// Metrics of one pool.
    ///
    /// - Parameters:
    ///   - pool: The pool. Whether these metrics are its delegate, or hear of its events from the one that is, is the
    ///     caller's to arrange.
    ///   - name: What tells this pool from others of the same program.
    ///   - factory: Where the metrics go.
    public init(
        of pool: PostgresPool, name: String = "default", factory: any MetricsFactory = MetricsSystem.factory
    ) {
        self.pool = pool
        instruments = PoolInstruments(poolName: name, factory: factory)
        let instruments = instruments
        attemptFailures = CodeCounters { instruments.connectAttempts("failure", reason: $0) }
        retries = CodeCounters { instruments.retries(reason: $0) }
        for code in Self.usualConnectFailures { attemptFailures.prepare(code) }
        for code in Self.usualRetries { retries.prepare(code) }
        instruments.connectionMax.record(pool.settings.maximum)
        instruments.connectionIdleMin.record(pool.settings.minimum)
        instruments.connectionIdleMax.record(pool.settings.maximumIdle ?? pool.settings.maximum)
        instruments.lastTransition.record(Self.secondsSinceEpoch)
        refresh()
    }

    // MARK: What happens

    /// Counts an event.
    public func pool(_ pool: PostgresPool, did event: PoolEvent) {
        switch event {
        case .healthChanged(let from, let to, let outage, let now): healthChanged(from, to, outage, now)
        case .connected: instruments.connectSuccesses.increment()
        case .connectFailed(let error): attemptFailures.increment(error.code)
        case .closed(_, let reason, _):
            instruments.discards[reason]?.increment()
            instruments.abandonedAttempts[reason]?.increment()
        case .retried(let error): retries.increment(error.code)
        case .hedged: instruments.hedges.increment()
        case .connecting, .causeChanged, .growthFailed, .retirementPostponed: break
        }
    }

    /// Counts a measurement. Comes several times with each query.
    public func pool(_ pool: PostgresPool, measured measurement: PoolMeasurement) {
        switch measurement {
        case .checkedOut(let wait): instruments.waitTime.recordNanoseconds(wait)
        case .returned(let use): instruments.useTime.recordNanoseconds(use)
        case .queried(let duration, let code, let wasSaved):
            if wasSaved { instruments.retriesSaved.increment() }
            let timer = code.map(failedQuery) ?? instruments.goodQueries
            timer.recordNanoseconds(duration)
        case .timedOut: instruments.timeouts.increment()
        case .refused(let kind): instruments.refusals[kind]?.increment()
        case .opened(let duration): instruments.createTime.recordNanoseconds(duration)
        }
    }

    private func failedQuery(_ code: String) -> Timer {
        if let known = failedQueries[code] { return known }
        let label = failedQueries.count < Self.queryCodeLimit ? code : CodeCounters.other
        let timer = failedQueries[label] ?? instruments.queries(errorType: label)
        failedQueries[label] = timer
        return timer
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

    // MARK: What is

    /// Writes down what is at this moment.
    public func refresh() {
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
