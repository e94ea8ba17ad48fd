internal import MetricDescriptions

/// The pool's metrics. Those that begin with `db.client` are OpenTelemetry's
/// (https://opentelemetry.io/docs/specs/semconv/db/database-metrics/); the others tell of the outage.
enum PoolMetric {
    /// The boundaries that the conventions give for `db.client.operation.duration`, in seconds. They give none for the
    /// times of connections; these fit them.
    static let operationBoundaries = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10]
    static let recoveryBoundaries = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600]

    static let connectionCount = MetricDescription(
        "db.client.connection.count", .gauge, "Connections to the database by state.")
    static let connectionMax = MetricDescription(
        "db.client.connection.max", .gauge, "The most connections that may be open.")
    static let connectionIdleMin = MetricDescription(
        "db.client.connection.idle.min", .gauge, "Connections that are kept open when nobody needs them.")
    static let connectionIdleMax = MetricDescription(
        "db.client.connection.idle.max", .gauge, "The most idle connections that are kept.")
    static let pendingRequests = MetricDescription(
        "db.client.connection.pending_requests", .gauge, "Requests that wait for a connection.")
    static let timeouts = MetricDescription(
        "db.client.connection.timeouts", .counter, "Requests that were given no connection before their deadline.")
    static let createTime = MetricDescription(
        "db.client.connection.create_time", .histogram(operationBoundaries), in: .seconds,
        "Time it took to open a connection.")
    static let waitTime = MetricDescription(
        "db.client.connection.wait_time", .histogram(operationBoundaries), in: .seconds,
        "Time it took to be given a connection.")
    static let useTime = MetricDescription(
        "db.client.connection.use_time", .histogram(operationBoundaries), in: .seconds,
        "Time from being given a connection to giving it back.")
    static let operationDuration = MetricDescription(
        "db.client.operation.duration", .histogram(operationBoundaries), in: .seconds,
        "Duration of queries, second tries included; error_type is the SQLSTATE or the connection's error.")

    static let up = MetricDescription(
        "daruma.db.up", .gauge,
        "Whether the database can be used (1) or requests are told at once that it cannot (0).")
    static let state = MetricDescription(
        "daruma.db.state", .gauge, "1 for the state that the pool is in, 0 for the others.")
    static let lastSuccess = MetricDescription(
        "daruma.db.last_success.timestamp", .gauge, in: .seconds,
        "When the database last proved that it answers; 0 when it never has.")
    static let lastTransition = MetricDescription(
        "daruma.db.last_transition.timestamp", .gauge, in: .seconds, "When the state last changed.")
    static let nextAttempt = MetricDescription(
        "daruma.db.next_attempt.timestamp", .gauge, in: .seconds,
        "When the next connect is tried during an outage; 0 when none is due.")
    static let suspicions = MetricDescription(
        "daruma.db.suspicions", .counter,
        "Signs of trouble that requests waited through; those not followed by an outage were seen by nobody.")
    static let outages = MetricDescription(
        "daruma.db.outages", .counter, "Outages: times when requests were told that there is no database.")
    static let outageTime = MetricDescription(
        "daruma.db.outage", .counter, in: .seconds,
        "Time in outages, each from its first sign, the one that goes on included.")
    static let recoveryTime = MetricDescription(
        "daruma.db.recovery_time", .histogram(recoveryBoundaries), in: .seconds,
        "Time from the first sign of an outage until the database answered again.")
    static let connectAttempts = MetricDescription(
        "daruma.db.connect_attempts", .counter,
        "Connects that ended, by outcome; the reason is the SQLSTATE or the connection's error.")
    static let discards = MetricDescription(
        "daruma.db.connections_closed", .counter, "Connections and connects that were closed, by reason.")
    static let refusals = MetricDescription(
        "daruma.db.checkouts_refused", .counter,
        "Requests that were told at once, or before their deadline, that they get no connection, by reason.")
    static let retries = MetricDescription(
        "daruma.db.query_retries", .counter,
        "Queries run again on another connection; the reason is the error of the first.")
    static let retriesSaved = MetricDescription(
        "daruma.db.query_retries_saved", .counter,
        "Queries that succeeded on another connection than the one they began on.")
    static let hedges = MetricDescription(
        "daruma.db.hedges", .counter,
        "Queries that were allowed to run a second time because the first was silent for longer than usual.")
    static let usualAnswer = MetricDescription(
        "daruma.db.usual_answer", .gauge, in: .seconds,
        "What an answer of the database usually takes (a smoothed mean); 0 before the first.")
    static let usualLogin = MetricDescription(
        "daruma.db.usual_login", .gauge, in: .seconds,
        "What a log-in at the database usually takes (a smoothed mean); 0 before the first.")
    static let silenceLimit = MetricDescription(
        "daruma.db.silence_limit", .gauge, in: .seconds,
        "For how long a query may be silent at present before that is unusual.")
    static let givenUp = MetricDescription(
        "daruma.db.given_up", .gauge,
        "Connections that are not used because the server may still be at a statement that was given up.")
    static let overdue = MetricDescription(
        "daruma.db.connections_overdue", .gauge,
        "Connections that are past their lifetime and serve on because no successor can be opened.")

    static let all = [
        connectionCount, connectionMax, connectionIdleMin, connectionIdleMax, pendingRequests, timeouts, createTime,
        waitTime, useTime, operationDuration, up, state, lastSuccess, lastTransition, nextAttempt, suspicions, outages,
        outageTime, recoveryTime, connectAttempts, discards, refusals, retries, retriesSaved,
        hedges, usualAnswer, usualLogin, silenceLimit, givenUp, overdue,
    ]
}
