internal import CoreMetrics
internal import DispatchPostgres
internal import MetricDescriptions

/// All metrics of one pool: their descriptions, and their instruments, created once, so that counting needs no lookup.
/// Those with known labels exist from the start, at zero, so that a rate includes the first event.
///
/// Metrics that begin with `db.client` are OpenTelemetry's
/// (https://opentelemetry.io/docs/specs/semconv/db/database-metrics/); the others describe outages, under a prefix.
struct PoolInstruments {
    let connections: [String: Gauge]
    let connectionMax, connectionIdleMin, connectionIdleMax, pendingRequests: Gauge
    let timeouts: Counter
    let createTime, waitTime, useTime, goodQueries: Timer

    let up: Gauge
    let states: [(DatabaseState, Gauge)]
    let lastSuccess, lastTransition, nextAttempt: Gauge
    let suspicions, outages: Counter
    let outageTime: FloatingPointCounter
    let recoveryTime: Timer
    let connectSuccesses: Counter
    let abandonedAttempts: [SessionCloseReason: Counter]
    let discards: [SessionCloseReason: Counter]
    let refusals: [PoolError.Kind: Counter]
    let retriesSaved, hedges: Counter
    let usualAnswer, usualLogin, silenceLimit, givenUp, overdue: Gauge

    /// The descriptions of all metrics.
    let descriptions: [MetricDescription]

    private let connectAttempts, retries, operationDuration: String
    private let poolDimension: (String, String)
    private let factory: any MetricsFactory

    /// The boundaries that the conventions define for `db.client.operation.duration`, in seconds. They define none for
    /// the times of connections, which use the same.
    private static let operationBoundaries = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
    private static let recoveryBoundaries = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600]
    private static let system = ("db.system.name", "postgresql")

    init(prefix: String, poolName: String, factory: any MetricsFactory) {
        let pool = ("db.client.connection.pool.name", poolName)
        poolDimension = pool
        self.factory = factory

        var all: [MetricDescription] = []
        /// Returns the label.
        func describe(
            _ label: String, _ kind: MetricDescription.Kind, in unit: MetricDescription.Unit = .none, _ help: String
        ) -> String {
            all.append(MetricDescription(label, kind, in: unit, help))
            return label
        }
        func counter(_ label: String, _ help: String) -> Counter {
            Counter(label: describe(label, .counter, help), dimensions: [pool], factory: factory)
        }
        func gauge(_ label: String, in unit: MetricDescription.Unit = .none, _ help: String) -> Gauge {
            Gauge(label: describe(label, .gauge, in: unit, help), dimensions: [pool], factory: factory)
        }
        func timer(_ label: String, _ boundaries: [Double], _ help: String) -> Timer {
            let label = describe(label, .histogram(boundaries), in: .seconds, help)
            return Timer(label: label, dimensions: [pool], factory: factory)
        }
        func counters<Key>(_ label: String, _ keys: [Key], _ dimensions: (Key) -> [(String, String)]) -> [Key: Counter]
        {
            Dictionary(
                uniqueKeysWithValues: keys.map {
                    ($0, Counter(label: label, dimensions: [pool] + dimensions($0), factory: factory))
                })
        }

        let connectionCount = describe("db.client.connection.count", .gauge, "Connections to the database by state.")
        connections = Dictionary(
            uniqueKeysWithValues: ["idle", "used", "connecting", "other"].map {
                let dimensions = [pool, ("db.client.connection.state", $0)]
                return ($0, Gauge(label: connectionCount, dimensions: dimensions, factory: factory))
            })
        connectionMax = gauge("db.client.connection.max", "Maximum number of open connections.")
        connectionIdleMin = gauge("db.client.connection.idle.min", "Minimum number of open connections.")
        connectionIdleMax = gauge("db.client.connection.idle.max", "Maximum number of idle connections.")
        pendingRequests = gauge("db.client.connection.pending_requests", "Requests that wait for a connection.")
        timeouts = counter("db.client.connection.timeouts", "Requests that got no connection before their deadline.")
        createTime = timer("db.client.connection.create_time", Self.operationBoundaries, "Time to open a connection.")
        waitTime = timer("db.client.connection.wait_time", Self.operationBoundaries, "Time to get a connection.")
        useTime = timer(
            "db.client.connection.use_time", Self.operationBoundaries,
            "Time from getting a connection to releasing it.")
        operationDuration = describe(
            "db.client.operation.duration", .histogram(Self.operationBoundaries), in: .seconds,
            "Duration of queries, retries included; error_type is the SQLSTATE or the connection's error.")
        goodQueries = Timer(label: operationDuration, dimensions: [pool, Self.system], factory: factory)

        up = gauge("\(prefix).up", "Whether the database can be used (1) or requests fail at once (0).")
        let state = describe("\(prefix).state", .gauge, "1 for the pool's state, 0 for the others.")
        states = DatabaseState.allCases.map {
            ($0, Gauge(label: state, dimensions: [pool, ("state", $0.rawValue)], factory: factory))
        }
        lastSuccess = gauge(
            "\(prefix).last_success.timestamp", in: .seconds, "When the database last replied; 0 when it never has.")
        lastTransition = gauge("\(prefix).last_transition.timestamp", in: .seconds, "When the state last changed.")
        nextAttempt = gauge(
            "\(prefix).next_attempt.timestamp", in: .seconds,
            "When the next connect is due during an outage; 0 when none is.")
        suspicions = counter(
            "\(prefix).suspicions",
            "Signs of trouble that delayed requests; without a following outage no request failed.")
        outages = counter("\(prefix).outages", "Outages: times when requests failed because there was no database.")
        let outage = describe(
            "\(prefix).outage", .counter, in: .seconds,
            "Time in outages, each from its first sign, the current one included.")
        outageTime = FloatingPointCounter(label: outage, dimensions: [pool], factory: factory)
        recoveryTime = timer(
            "\(prefix).recovery_time", Self.recoveryBoundaries,
            "Time from the first sign of an outage until the database answered again.")
        let attempts = describe(
            "\(prefix).connect_attempts", .counter,
            "Connects that ended, by outcome; the reason is the SQLSTATE or the connection's error.")
        connectAttempts = attempts
        connectSuccesses = Counter(
            label: attempts, dimensions: [pool, ("outcome", "success"), ("reason", "")], factory: factory)
        // The two reasons that only connects have.
        abandonedAttempts = counters(attempts, [.overtaken, .hung]) {
            [("outcome", "abandoned"), ("reason", $0.rawValue)]
        }
        let closed = describe(
            "\(prefix).connections_closed", .counter, "Connections and connects that were closed, by reason.")
        discards = counters(closed, SessionCloseReason.allCases) { [("reason", $0.rawValue)] }
        let refused = describe(
            "\(prefix).checkouts_refused", .counter,
            "Requests that got no connection for another reason than their deadline, by reason.")
        let kinds: [PoolError.Kind: String] = [
            .unavailable: "unavailable", .saturated: "saturated", .closed: "closed", .wrongProcess: "wrong_process",
            .notStarted: "not_started",
        ]
        refusals = counters(refused, Array(kinds.keys)) { [("reason", kinds[$0] ?? "")] }
        retries = describe(
            "\(prefix).query_retries", .counter,
            "Queries run again on another connection; the reason is the error of the first.")
        retriesSaved = counter(
            "\(prefix).query_retries_saved", "Queries that succeeded on another connection than the one they began on.")
        hedges = counter(
            "\(prefix).hedges", "Queries that ran a second time because the first was silent for longer than usual.")
        usualAnswer = gauge(
            "\(prefix).usual_answer", in: .seconds,
            "How long an answer usually takes (a smoothed mean); 0 before the first.")
        usualLogin = gauge(
            "\(prefix).usual_login", in: .seconds,
            "How long a login usually takes (a smoothed mean); 0 before the first.")
        silenceLimit = gauge(
            "\(prefix).silence_limit", in: .seconds, "How long a query may be silent before that is unusual.")
        givenUp = gauge(
            "\(prefix).given_up", "Connections out of use because the server may still run an abandoned statement.")
        overdue = gauge(
            "\(prefix).connections_overdue",
            "Connections past their lifetime that still serve because no successor can be opened.")
        descriptions = all
    }

    func connectAttempts(_ outcome: String, reason: String) -> Counter {
        Counter(
            label: connectAttempts,
            dimensions: [poolDimension, ("outcome", outcome), ("reason", reason)], factory: factory)
    }

    func retries(reason: String) -> Counter {
        Counter(
            label: retries, dimensions: [poolDimension, ("reason", reason)], factory: factory)
    }

    func queries(errorType: String) -> Timer {
        Timer(
            label: operationDuration,
            dimensions: [poolDimension, Self.system, ("error.type", errorType)], factory: factory)
    }
}
