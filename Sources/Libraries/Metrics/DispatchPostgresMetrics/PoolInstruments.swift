internal import CoreMetrics
internal import DispatchPostgres
internal import MetricDescriptions

/// All instruments of one pool, made once: nothing is looked up when something is counted. Those whose labels are known
/// beforehand exist from the start, at zero, so that a rate sees the first event too.
struct PoolInstruments {
    let connections: [String: Gauge]
    let connectionMax: Gauge
    let connectionIdleMin: Gauge
    let connectionIdleMax: Gauge
    let pendingRequests: Gauge
    let timeouts: Counter
    let createTime: Timer
    let waitTime: Timer
    let useTime: Timer
    let goodQueries: Timer

    let up: Gauge
    let states: [(DatabaseState, Gauge)]
    let lastSuccess: Gauge
    let lastTransition: Gauge
    let nextAttempt: Gauge
    let suspicions: Counter
    let outages: Counter
    let outageTime: FloatingPointCounter
    let recoveryTime: Timer
    let connectSuccesses: Counter
    let abandonedAttempts: [SessionCloseReason: Counter]
    let discards: [SessionCloseReason: Counter]
    let refusals: [PoolError.Kind: Counter]
    let retriesSaved: Counter
    let hedges: Counter
    let usualAnswer: Gauge
    let usualLogin: Gauge
    let silenceLimit: Gauge
    let givenUp: Gauge
    let overdue: Gauge

    private let poolDimension: (String, String)
    private let factory: any MetricsFactory
    private static let system = ("db.system.name", "postgresql")

    init(poolName: String, factory: any MetricsFactory) {
        let pool = ("db.client.connection.pool.name", poolName)
        poolDimension = pool
        self.factory = factory

        func counter(_ metric: MetricDescription, _ more: (String, String)...) -> Counter {
            Counter(label: metric.label, dimensions: [pool] + more, factory: factory)
        }
        func gauge(_ metric: MetricDescription, _ more: (String, String)...) -> Gauge {
            Gauge(label: metric.label, dimensions: [pool] + more, factory: factory)
        }
        func timer(_ metric: MetricDescription, _ more: (String, String)...) -> Timer {
            Timer(label: metric.label, dimensions: [pool] + more, factory: factory)
        }

        connections = Dictionary(
            uniqueKeysWithValues: ["idle", "used", "connecting", "other"].map {
                ($0, gauge(PoolMetric.connectionCount, ("db.client.connection.state", $0)))
            })
        connectionMax = gauge(PoolMetric.connectionMax)
        connectionIdleMin = gauge(PoolMetric.connectionIdleMin)
        connectionIdleMax = gauge(PoolMetric.connectionIdleMax)
        pendingRequests = gauge(PoolMetric.pendingRequests)
        timeouts = counter(PoolMetric.timeouts)
        createTime = timer(PoolMetric.createTime)
        waitTime = timer(PoolMetric.waitTime)
        useTime = timer(PoolMetric.useTime)
        goodQueries = timer(PoolMetric.operationDuration, Self.system)

        up = gauge(PoolMetric.up)
        states = DatabaseState.allCases.map { ($0, gauge(PoolMetric.state, ("state", $0.rawValue))) }
        lastSuccess = gauge(PoolMetric.lastSuccess)
        lastTransition = gauge(PoolMetric.lastTransition)
        nextAttempt = gauge(PoolMetric.nextAttempt)
        suspicions = counter(PoolMetric.suspicions)
        outages = counter(PoolMetric.outages)
        outageTime = FloatingPointCounter(label: PoolMetric.outageTime.label, dimensions: [pool], factory: factory)
        recoveryTime = timer(PoolMetric.recoveryTime)
        connectSuccesses = counter(PoolMetric.connectAttempts, ("outcome", "success"), ("reason", ""))
        // These two are about connects and nothing else.
        abandonedAttempts = Dictionary(
            uniqueKeysWithValues: [SessionCloseReason.overtaken, .hung].map {
                ($0, counter(PoolMetric.connectAttempts, ("outcome", "abandoned"), ("reason", $0.rawValue)))
            })
        discards = Dictionary(
            uniqueKeysWithValues: SessionCloseReason.allCases.map {
                ($0, counter(PoolMetric.discards, ("reason", $0.rawValue)))
            })
        let kinds: [(PoolError.Kind, String)] = [
            (.unavailable, "unavailable"), (.saturated, "saturated"), (.closed, "closed"),
            (.wrongProcess, "wrong_process"), (.notStarted, "not_started"),
        ]
        refusals = Dictionary(
            uniqueKeysWithValues: kinds.map { ($0.0, counter(PoolMetric.refusals, ("reason", $0.1))) })
        retriesSaved = counter(PoolMetric.retriesSaved)
        hedges = counter(PoolMetric.hedges)
        usualAnswer = gauge(PoolMetric.usualAnswer)
        usualLogin = gauge(PoolMetric.usualLogin)
        silenceLimit = gauge(PoolMetric.silenceLimit)
        givenUp = gauge(PoolMetric.givenUp)
        overdue = gauge(PoolMetric.overdue)
    }

    func connectAttempts(_ outcome: String, reason: String) -> Counter {
        Counter(
            label: PoolMetric.connectAttempts.label,
            dimensions: [poolDimension, ("outcome", outcome), ("reason", reason)], factory: factory)
    }

    func retries(reason: String) -> Counter {
        Counter(
            label: PoolMetric.retries.label, dimensions: [poolDimension, ("reason", reason)], factory: factory)
    }

    func queries(errorType: String) -> Timer {
        Timer(
            label: PoolMetric.operationDuration.label,
            dimensions: [poolDimension, Self.system, ("error.type", errorType)], factory: factory)
    }
}
