public import PostgresSession

/// Why no connection could be checked out. Safe to show to clients.
public struct PoolError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kind of failure.
    public enum Kind: Sendable, Hashable {
        /// The database is not available.
        case unavailable
        /// The database is up, and all connections were in use until the deadline, or too many requests wait.
        case saturated
        /// The pool has been closed, or is being closed.
        case closed
        /// The pool has not been started.
        case notStarted
        /// The process was forked; connections belong to the process that opened them.
        case wrongProcess
        /// The caller's task was cancelled.
        case cancelled
    }

    /// The kind of failure.
    public var kind: Kind
    /// The state of the pool at that moment.
    public var health: DatabaseState
    /// The outage's cause, for `unavailable`.
    public var cause: PostgresError?
    /// The age of the outage, if there is one.
    public var outageDuration: Duration?
    /// The time until the next connect, if one is scheduled.
    public var nextAttempt: Duration?

    /// Creates an error.
    public init(
        kind: Kind, health: DatabaseState, cause: PostgresError? = nil, outageDuration: Duration? = nil,
        nextAttempt: Duration? = nil
    ) {
        self.kind = kind
        self.health = health
        self.cause = cause
        self.outageDuration = outageDuration
        self.nextAttempt = nextAttempt
    }

    /// A short code: the cause's if there is one.
    public var code: String {
        switch kind {
        case .unavailable: cause?.code ?? "UNAVAILABLE"
        case .saturated: "POOL_SATURATED"
        case .closed: "POOL_CLOSED"
        case .notStarted: "POOL_NOT_STARTED"
        case .wrongProcess: "POOL_WRONG_PROCESS"
        case .cancelled: "CANCELLED"
        }
    }

    /// What happened, in one sentence.
    public var message: String {
        switch kind {
        case .unavailable: cause?.message ?? "the database is not available"
        case .saturated: "all connections to the database are in use"
        case .closed: "the pool of connections is closed"
        case .notStarted: "the pool of connections was not started; call start() first"
        case .wrongProcess: "this process was forked from the one that opened the pool; open a pool after forking"
        case .cancelled: "the task was cancelled while it waited for a connection"
        }
    }

    /// Code and message, for logs.
    public var description: String { "\(code): \(message)" }
}
