public import DispatchLoop
public import PostgresSession

/// What happens in a pool, for logs, metrics and displays. The pool itself has none.
public enum PoolEvent: Sendable, Hashable {
    /// The state changed. `outage` is the one that began, continues or has just ended.
    case healthChanged(from: DatabaseState, to: DatabaseState, outage: Outage?, at: MonotonicTime)
    /// The outage continues with a different cause.
    case causeChanged(PostgresError, at: MonotonicTime)
    /// A connect began.
    case connecting(ConnectionID)
    /// A connection was opened.
    case connected(ConnectionID)
    /// A connect failed.
    case connectFailed(PostgresError)
    /// A connect failed while other connections work; the pool continues with those. Reported once until one succeeds.
    case growthFailed(PostgresError)
    /// No successor could be opened for a connection past its lifetime, or on a server that has lost the wanted role. It
    /// serves until one can. Reported once until a connect succeeds.
    case retirementPostponed(PostgresError)
    /// A connection was closed or has ended; with the error if there was one.
    case closed(ConnectionID, SessionCloseReason, PostgresError?)
    /// A query that had been silent for longer than usual may run on another connection as well.
    case hedged
    /// A query runs again on another connection, because the first has ended or is silent.
    case retried(PostgresError)
}

/// Receives a pool's events, on the event loop. Must not block.
@LoopActor
public protocol PoolObserver: AnyObject {
    /// Whether the pool calls ``pool(_:measured:)``. It asks once, when it is created; `false` by default.
    var wantsMeasurements: Bool { get }
    /// Called for each event, after the pool has acted on it.
    func pool(_ pool: PostgresPool, did event: PoolEvent)
    /// Called several times per query; does nothing by default.
    func pool(_ pool: PostgresPool, measured measurement: PoolMeasurement)
}

extension PoolObserver {
    /// `false`.
    public var wantsMeasurements: Bool { false }
    /// Does nothing.
    public func pool(_ pool: PostgresPool, measured measurement: PoolMeasurement) {}
}
