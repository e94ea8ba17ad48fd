public import PostgresSession

/// Why no connection could be checked out; made to be shown to a reader.
public struct PoolError: Error, Sendable, Hashable, CustomStringConvertible {
    /// What kind of failure it is.
    public enum Kind: Sendable, Hashable {
        /// There is no database just now.
        case unavailable
        /// There is a database, and all connections were in use until the deadline.
        case saturated
        /// The pool has been closed, or is being closed.
        case closed
        /// The pool has not been started.
        case notStarted
        /// The process was forked: a connection belongs to the process that opened it.
        case wrongProcess
        /// The caller's task was cancelled.
        case cancelled
    }

    /// What kind of failure it is.
    public var kind: Kind
    /// The pool's health at that moment.
    public var health: DatabaseState
    /// What is wrong with the database, if it is that.
    public var cause: PostgresError?
    /// How long the outage has lasted, if there is one.
    public var outageDuration: Duration?
    /// When the next connect is tried, counted from now, if one is to be.
    public var nextAttempt: Duration?

    /// An error with the given parts.
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

    /// A short code: the cause's where there is one.
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

    /// For the log.
    public var description: String { "\(code): \(message)" }
}
