internal import DispatchLoop
internal import PostgresSession

/// What a pool measures of its everyday work, for whoever keeps statistics. Apart from ``PoolEvent``, because it comes
/// several times with each query; for that reason times are plain nanoseconds. They are those of the loop's turns.
public enum PoolMeasurement: Sendable, Hashable {
    /// A connection was checked out, this long after it was asked for; zero when one was idle.
    case checkedOut(waitNanoseconds: Int64)
    /// Nobody gave a connection before the deadline.
    case timedOut
    /// No connection was to be had, for another reason than the deadline.
    case refused(PoolError.Kind)
    /// A connection was given back, this long after it was checked out.
    case returned(useNanoseconds: Int64)
    /// A connection was opened, and the connect took this long.
    case opened(nanoseconds: Int64)
    /// A query ended, with the code of its error if it failed. `wasSaved`: it succeeded on another connection than the
    /// one it began on.
    case queried(nanoseconds: Int64, errorCode: String?, wasSaved: Bool)
}

extension PostgresPool {
    func measured(_ measurement: @autoclosure () -> PoolMeasurement) {
        guard isObserved, let delegate else { return }
        delegate.pool(self, measured: measurement())
    }

    /// A query that was begun at that time has ended.
    func measured(_ outcome: HedgedQuery.Outcome, begunAt begin: MonotonicTime) {
        guard isObserved else { return }
        var code: String?
        if case .failure(let error) = outcome.result {
            code = (error as? PostgresError)?.code ?? (error as? PoolError)?.code ?? "OTHER"
        }
        let wasSaved = outcome.hasMoved && code == nil
        let nanoseconds = EventLoop.shared.now.nanoseconds - begin.nanoseconds
        measured(.queried(nanoseconds: nanoseconds, errorCode: code, wasSaved: wasSaved))
    }

    /// How long ago the slot's latest state began, in nanoseconds; `nil` when it is not in that state.
    func age(of id: ConnectionID, in state: SlotState) -> Int64? {
        guard machine.slots.state(id) == state else { return nil }
        return EventLoop.shared.now.nanoseconds - machine.slots.slots[id.index].since.nanoseconds
    }
}
