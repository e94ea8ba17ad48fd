public import DispatchLoop
public import PostgresSession

/// A connection checked out of a pool, until it is released.
///
/// Its first query, if it may be repeated, may move to another session when the one it began on turns out to be dead:
/// nothing has happened in the session yet that could be lost. After that it stays on the session that answered.
///
/// Made for one use and one task at a time. One that is forgotten goes home when it is deallocated.
@LoopActor
public final class PooledConnection {
    private let pool: PostgresPool
    private var leased: PostgresPool.Leased?
    /// A query is under way: it has the session meanwhile.
    private var isQuerying = false
    private var isReleased = false
    /// Why the session was lost. Boxed: it is large, and rare.
    private var lossBox: Box?
    private var loss: PostgresError? { lossBox?.error }

    private final class Box: Sendable {
        let error: PostgresError
        init(_ error: PostgresError) { self.error = error }
    }

    private var isPristine = true

    init(_ leased: PostgresPool.Leased, of pool: PostgresPool) {
        self.leased = leased
        self.pool = pool
    }

    isolated deinit {
        if let leased { pool.giveBack(leased) }
    }

    /// The process id of the server's end, as in `pg_stat_activity`; `nil` once released or lost.
    public var backendProcessID: Int32? { leased?.connection.backendProcessID }

    /// Runs a statement.
    ///
    /// - Parameters:
    ///   - sql: the statement; several, separated by semicolons, when there are no parameters.
    ///   - parameters: the values of `$1`, `$2` …, as text; `nil` is NULL.
    ///   - isIdempotent: whether running it twice does no harm. If it is the first on this connection, it is run once
    ///     more on another session when the first one has ended, or has been silent for longer than this database usually
    ///     is (at least ``PoolSettings/silenceTimeout``) while another one works. A statement that provably was never sent is run again in any case. At most twice, where
    ///     the second session ends as well.
    ///   - isPrepared: whether the session keeps the statement prepared for its next use, which costs a little
    ///     more the first time and less each time after. Works behind a transaction pooler too. One statement, not several.
    ///   - deadline: when to give up; both tries together.
    /// - Throws: ``PostgresError``, or ``PoolError`` when a second session was needed and none was to be had. Once the session
    ///   is lost, each further query throws what it was lost for. A second query at a time throws `CONNECTION_BUSY`.
    public func query(
        _ sql: String, parameters: [String?] = [], isIdempotent: Bool = false, isPrepared: Bool = false,
        deadline: MonotonicTime
    ) async throws -> QueryResult {
        let statement = try Statement(sql, parameters: parameters, isPrepared: isPrepared)
        let leased = try take()
        let begin = EventLoop.shared.now
        let race = HedgedQuery(
            statement, on: leased, of: pool, deadline: deadline, isIdempotent: isIdempotent && isPristine,
            canMove: isPristine)
        isPristine = false
        let outcome = await withTaskCancellationHandler { @LoopActor in
            await withUnsafeContinuation { race.run(poolContinuation($0)) }
        } onCancel: {
            EventLoop.shared.submit { race.cancel() }
        }
        settle(outcome)
        pool.measured(outcome, begunAt: begin)
        return try outcome.result.get()
    }

    // Not inlined, these two: what they work with would be a part of the memory of every task that waits.

    /// What is leased, for the time of a query.
    @inline(never)
    private func take() throws(PostgresError) -> PostgresPool.Leased {
        if isQuerying { throw PostgresConnection.busyError }
        guard let leased else { throw isReleased ? Self.released : loss ?? Self.released }
        self.leased = nil
        isQuerying = true
        return leased
    }

    @inline(never)
    private func settle(_ outcome: HedgedQuery.Outcome) {
        isQuerying = false
        if isReleased {
            // Released while the query was under way.
            if let leased = outcome.leased { pool.giveBack(leased) }
        } else if let leased = outcome.leased {
            self.leased = leased
        } else if case .failure(let error as PostgresError) = outcome.result, error.concernsWholeSession {
            lossBox = Box(error)
        }
    }

    /// Takes what is leased out of this lease, which is of no use after it. While a query is under way, that is done when it
    /// has ended.
    func surrender() -> PostgresPool.Leased? {
        defer { leased = nil }
        isReleased = true
        return leased
    }

    private static let released = PostgresError(
        code: PostgresError.Code.closed, message: "the connection has been released or lost",
        hint: "Check another one out.", disposition: .statement, wasNeverSent: true)
}
