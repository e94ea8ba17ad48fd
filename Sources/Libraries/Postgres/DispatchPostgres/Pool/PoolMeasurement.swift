internal import DispatchLoop
internal import PostgresSession

/// A measurement, for statistics. Separate from ``PoolEvent``, because each query causes several; for that reason times
/// are plain nanoseconds, read once per round of the event loop.
public enum PoolMeasurement: Sendable, Hashable {
    /// A connection was checked out after this wait; zero when one was idle.
    case checkedOut(waitNanoseconds: Int64)
    /// A check-out failed at its deadline.
    case timedOut
    /// A check-out failed for another reason.
    case refused(PoolError.Kind)
    /// A connection was released after this time.
    case returned(useNanoseconds: Int64)
    /// A connection was opened; the connect took this long.
    case opened(nanoseconds: Int64)
    /// A query ended, with the code of its error if it failed. `wasSaved`: it succeeded on a connection other than the
    /// one it began on.
    case queried(nanoseconds: Int64, errorCode: String?, wasSaved: Bool)
}

extension PostgresPool {
    func measured(_ measurement: @autoclosure () -> PoolMeasurement) {
        guard !measuringObservers.isEmpty else { return }
        let measurement = measurement()
        for observer in measuringObservers { observer.pool(self, measured: measurement) }
    }

    /// A query that began at `begin` has ended.
    func measured(_ outcome: HedgedQuery.Outcome, of statement: Statement, begunAt begin: MonotonicTime) {
        guard !measuringObservers.isEmpty || hooks.onStatement != nil else { return }
        var code: String?
        if case .failure(let error) = outcome.result {
            code = (error as? PostgresError)?.code ?? (error as? PoolError)?.code ?? "OTHER"
        }
        let wasSaved = outcome.hasMoved && code == nil
        let nanoseconds = EventLoop.shared.now.nanoseconds - begin.nanoseconds
        if let onStatement = hooks.onStatement {
            onStatement(
                PoolHooks.StatementEnd(
                    sql: statement.sql, duration: .nanoseconds(nanoseconds),
                    rowCount: (try? outcome.result.get())?.rowCount, errorCode: code, wasSaved: wasSaved,
                    backendProcessID: outcome.leased?.connection.backendProcessID))
        }
        measured(.queried(nanoseconds: nanoseconds, errorCode: code, wasSaved: wasSaved))
    }

    /// How long the slot has been in this state, in nanoseconds; `nil` when it is in another one.
    func age(of id: ConnectionID, in state: SlotState) -> Int64? {
        guard machine.slots.state(id) == state else { return nil }
        return EventLoop.shared.now.nanoseconds - machine.slots.slots[id.index].since.nanoseconds
    }
}
