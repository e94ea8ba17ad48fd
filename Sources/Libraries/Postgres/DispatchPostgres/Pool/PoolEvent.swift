public import DispatchLoop
public import PostgresSession

/// What happens in a pool, for whoever logs, counts or shows it. The pool itself does none of these.
public enum PoolEvent: Sendable, Hashable {
    /// The health changed. `outage` is the one that began, goes on or has just ended.
    case healthChanged(from: DatabaseState, to: DatabaseState, outage: Outage?, at: MonotonicTime)
    /// Another reason keeps the database away than the one reported before.
    case causeChanged(PostgresError)
    /// A connect was begun.
    case connecting(ConnectionID)
    /// A connection was opened.
    case connected(ConnectionID)
    /// A connect failed.
    case connectFailed(PostgresError)
    /// A connect failed while other connections work; the pool serves with those. Reported once until one succeeds.
    case growthFailed(PostgresError)
    /// No successor could be opened for a connection that is as old as it may become: it serves on until one can. Reported
    /// once until a connect succeeds.
    case retirementPostponed(PostgresError)
    /// A connection was closed, or had ended; with the error if there was one.
    case closed(ConnectionID, SessionCloseReason, PostgresError?)
    /// A query that had been silent for longer than usual was allowed to run on another connection as well.
    case hedged
    /// A query was run again on another connection because the first had ended or was silent.
    case retried(PostgresError)
}

/// Hears of a pool's events, on the loop. Must not block.
@LoopActor
public protocol PoolDelegate: AnyObject {
    /// Called for each event, after the pool has acted on it.
    func pool(_ pool: PostgresPool, did event: PoolEvent)
    /// Called several times with each query; has a default that does nothing.
    func pool(_ pool: PostgresPool, measured measurement: PoolMeasurement)
}

extension PoolDelegate {
    /// Does nothing.
    public func pool(_ pool: PostgresPool, measured measurement: PoolMeasurement) {}
}
