internal import CoreMetrics
internal import DispatchPostgres
internal import MetricDescriptions

/// All instruments of one pool, created once, so that counting needs no lookup. Those with known labels exist from the
/// start, at zero, so that a rate includes the first event.
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

    private let metric: PoolMetric
    private let poolDimension: (String, String)
    private let factory: any MetricsFactory
    private static let system = ("db.system.name", "postgresql")

    init(_ metric: PoolMetric, poolName: String, factory: any MetricsFactory) {
        self.metric = metric
        let pool = ("db.client.connection.pool.name", poolName)
        poolDimension = pool
        self.factory = factory

        func counter(_ description: MetricDescription, _ more: (String, String)...) -> Counter {
            Counter(label: description.label, dimensions: [pool] + more, factory: factory)
        }
        func gauge(_ description: MetricDescription, _ more: (String, String)...) -> Gauge {
            Gauge(label: description.label, dimensions: [pool] + more, factory: factory)
        }
        func timer(_ description: MetricDescription, _ more: (String, String)...) -> Timer {
            Timer(label: description.label, dimensions: [pool] + more, factory: factory)
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

        up = gauge(metric.up)
        states = DatabaseState.allCases.map { ($0, gauge(metric.state, ("state", $0.rawValue))) }
        lastSuccess = gauge(metric.lastSuccess)
        lastTransition = gauge(metric.lastTransition)
        nextAttempt = gauge(metric.nextAttempt)
        suspicions = counter(metric.suspicions)
        outages = counter(metric.outages)
        outageTime = FloatingPointCounter(label: metric.outageTime.label, dimensions: [pool], factory: factory)
        recoveryTime = timer(metric.recoveryTime)
        connectSuccesses = counter(metric.connectAttempts, ("outcome", "success"), ("reason", ""))
        // The two reasons that only connects have.
        abandonedAttempts = Dictionary(
            uniqueKeysWithValues: [SessionCloseReason.overtaken, .hung].map {
                ($0, counter(metric.connectAttempts, ("outcome", "abandoned"), ("reason", $0.rawValue)))
            })
        discards = Dictionary(
            uniqueKeysWithValues: SessionCloseReason.allCases.map {
                ($0, counter(metric.discards, ("reason", $0.rawValue)))
            })
        let kinds: [(PoolError.Kind, String)] = [
            (.unavailable, "unavailable"), (.saturated, "saturated"), (.closed, "closed"),
            (.wrongProcess, "wrong_process"), (.notStarted, "not_started"),
        ]
        refusals = Dictionary(
            uniqueKeysWithValues: kinds.map { ($0.0, counter(metric.refusals, ("reason", $0.1))) })
        retriesSaved = counter(metric.retriesSaved)
        hedges = counter(metric.hedges)
        usualAnswer = gauge(metric.usualAnswer)
        usualLogin = gauge(metric.usualLogin)
        silenceLimit = gauge(metric.silenceLimit)
        givenUp = gauge(metric.givenUp)
        overdue = gauge(metric.overdue)
    }

    func connectAttempts(_ outcome: String, reason: String) -> Counter {
        Counter(
            label: metric.connectAttempts.label,
            dimensions: [poolDimension, ("outcome", outcome), ("reason", reason)], factory: factory)
    }

    func retries(reason: String) -> Counter {
        Counter(
            label: metric.retries.label, dimensions: [poolDimension, ("reason", reason)], factory: factory)
    }

    func queries(errorType: String) -> Timer {
        Timer(
            label: PoolMetric.operationDuration.label,
            dimensions: [poolDimension, Self.system, ("error.type", errorType)], factory: factory)
    }
}
