internal import MetricDescriptions

/// The pool's metrics. Those that begin with `db.client` are OpenTelemetry's
/// (https://opentelemetry.io/docs/specs/semconv/db/database-metrics/); the others describe outages, under a prefix.
struct PoolMetric {
    /// The boundaries that the conventions define for `db.client.operation.duration`, in seconds. They define none for
    /// the times of connections, which use the same.
    private static let operationBoundaries = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
    private static let recoveryBoundaries = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600]

    static let connectionCount = MetricDescription(
        "db.client.connection.count", .gauge, "Connections to the database by state.")
    static let connectionMax = MetricDescription(
        "db.client.connection.max", .gauge, "Maximum number of open connections.")
    static let connectionIdleMin = MetricDescription(
        "db.client.connection.idle.min", .gauge, "Minimum number of open connections.")
    static let connectionIdleMax = MetricDescription(
        "db.client.connection.idle.max", .gauge, "Maximum number of idle connections.")
    static let pendingRequests = MetricDescription(
        "db.client.connection.pending_requests", .gauge, "Requests that wait for a connection.")
    static let timeouts = MetricDescription(
        "db.client.connection.timeouts", .counter, "Requests that got no connection before their deadline.")
    static let createTime = MetricDescription(
        "db.client.connection.create_time", .histogram(operationBoundaries), in: .seconds,
        "Time to open a connection.")
    static let waitTime = MetricDescription(
        "db.client.connection.wait_time", .histogram(operationBoundaries), in: .seconds,
        "Time to get a connection.")
    static let useTime = MetricDescription(
        "db.client.connection.use_time", .histogram(operationBoundaries), in: .seconds,
        "Time from getting a connection to releasing it.")
    static let operationDuration = MetricDescription(
        "db.client.operation.duration", .histogram(operationBoundaries), in: .seconds,
        "Duration of queries, retries included; error_type is the SQLSTATE or the connection's error.")

    let up, state, lastSuccess, lastTransition, nextAttempt, suspicions, outages, outageTime,
        recoveryTime: MetricDescription
    let connectAttempts, discards, refusals, retries, retriesSaved, hedges: MetricDescription
    let usualAnswer, usualLogin, silenceLimit, givenUp, overdue: MetricDescription

    init(prefix: String) {
        func own(
            _ name: String, _ kind: MetricDescription.Kind, in unit: MetricDescription.Unit = .none, _ help: String
        ) -> MetricDescription {
            MetricDescription("\(prefix).\(name)", kind, in: unit, help)
        }
        up = own("up", .gauge, "Whether the database can be used (1) or requests fail at once (0).")
        state = own("state", .gauge, "1 for the pool's state, 0 for the others.")
        lastSuccess = own(
            "last_success.timestamp", .gauge, in: .seconds, "When the database last replied; 0 when it never has.")
        lastTransition = own("last_transition.timestamp", .gauge, in: .seconds, "When the state last changed.")
        nextAttempt = own(
            "next_attempt.timestamp", .gauge, in: .seconds,
            "When the next connect is due during an outage; 0 when none is.")
        suspicions = own(
            "suspicions", .counter,
            "Signs of trouble that delayed requests; without a following outage no request failed.")
        outages = own("outages", .counter, "Outages: times when requests failed because there was no database.")
        outageTime = own(
            "outage", .counter, in: .seconds,
            "Time in outages, each from its first sign, the current one included.")
        recoveryTime = own(
            "recovery_time", .histogram(Self.recoveryBoundaries), in: .seconds,
            "Time from the first sign of an outage until the database answered again.")
        connectAttempts = own(
            "connect_attempts", .counter,
            "Connects that ended, by outcome; the reason is the SQLSTATE or the connection's error.")
        discards = own("connections_closed", .counter, "Connections and connects that were closed, by reason.")
        refusals = own(
            "checkouts_refused", .counter,
            "Requests that got no connection for another reason than their deadline, by reason.")
        retries = own(
            "query_retries", .counter,
            "Queries run again on another connection; the reason is the error of the first.")
        retriesSaved = own(
            "query_retries_saved", .counter,
            "Queries that succeeded on another connection than the one they began on.")
        hedges = own(
            "hedges", .counter,
            "Queries that ran a second time because the first was silent for longer than usual.")
        usualAnswer = own(
            "usual_answer", .gauge, in: .seconds,
            "How long an answer usually takes (a smoothed mean); 0 before the first.")
        usualLogin = own(
            "usual_login", .gauge, in: .seconds,
            "How long a login usually takes (a smoothed mean); 0 before the first.")
        silenceLimit = own(
            "silence_limit", .gauge, in: .seconds, "How long a query may be silent before that is unusual.")
        givenUp = own(
            "given_up", .gauge,
            "Connections out of use because the server may still run an abandoned statement.")
        overdue = own(
            "connections_overdue", .gauge,
            "Connections past their lifetime that still serve because no successor can be opened.")
    }

    var all: [MetricDescription] {
        [
            Self.connectionCount, Self.connectionMax, Self.connectionIdleMin, Self.connectionIdleMax,
            Self.pendingRequests, Self.timeouts, Self.createTime, Self.waitTime, Self.useTime, Self.operationDuration,
            up, state, lastSuccess, lastTransition, nextAttempt, suspicions, outages, outageTime, recoveryTime,
            connectAttempts, discards, refusals, retries, retriesSaved, hedges, usualAnswer, usualLogin, silenceLimit,
            givenUp, overdue,
        ]
    }
}
