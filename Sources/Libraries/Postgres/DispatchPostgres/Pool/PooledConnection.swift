public import DispatchLoop
public import PostgresSession

/// A connection checked out of a pool, until it is released.
///
/// Its first query, if idempotent, may move to another session when its own dies or stalls: the session holds nothing
/// yet that could be lost. Afterwards the connection stays on the session that answered.
///
/// For one task at a time. A connection that is not released returns to the pool when it is deallocated.
@LoopActor
public final class PooledConnection {
    private let pool: PostgresPool
    private var leased: PostgresPool.Leased?
    /// A query is running and holds the session.
    private var isQuerying = false
    private var isReleased = false
    /// Why the session was lost. Boxed, because it is large and rare.
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

    /// The process id of the backend, as in `pg_stat_activity`; `nil` once released or lost.
    public var backendProcessID: Int32? {
        // A session may end between two statements.
        leased.flatMap { $0.connection.isClosed ? nil : $0.connection.backendProcessID }
    }

    /// Runs a statement.
    ///
    /// - Parameters:
    ///   - sql: the statement; several, separated by semicolons, if it has no parameters.
    ///   - parameters: the values of `$1`, `$2` …, as text; `nil` is NULL.
    ///   - isIdempotent: whether running it twice does no harm. If it is the first on this connection, the pool runs it
    ///     again on another session when its own has ended, or has been silent for longer than usual (at least
    ///     ``PoolSettings/silenceTimeout``) while another one works. It reruns a statement that was provably never sent
    ///     even if it is not idempotent. At most two further sessions; five if an administrator terminates them.
    ///   - isPrepared: whether the session keeps the statement prepared for its next use, which costs a little more the
    ///     first time and less afterwards. Works behind a transaction pooler too. One statement, not several.
    ///   - deadline: the end of the query, including its retries.
    /// - Throws: ``PostgresError``, or ``PoolError`` when another session was needed and none was available. Once the
    ///   session is lost, every query throws the error that ended it. A second query at the same time throws
    ///   `CONNECTION_BUSY`.
    public func query(
        _ sql: String, parameters: [String?] = [], isIdempotent: Bool = false, isPrepared: Bool = false,
        deadline: MonotonicTime
    ) async throws -> QueryResult {
        let statement = try Statement(sql, parameters: parameters, isPrepared: isPrepared)
        let leased = try take()
        let begin = EventLoop.shared.now
        let hedged = HedgedQuery(
            statement, on: leased, of: pool, deadline: deadline, isIdempotent: isIdempotent && isPristine,
            canMove: isPristine)
        isPristine = false
        let outcome = await withTaskCancellationHandler { @LoopActor in
            await withUnsafeContinuation { hedged.run(poolContinuation($0)) }
        } onCancel: {
            EventLoop.shared.submit { hedged.cancel() }
        }
        settle(outcome)
        pool.measured(outcome, of: statement, begunAt: begin)
        return try outcome.result.get()
    }

    /// Runs a statement as ``query(_:parameters:isIdempotent:isPrepared:deadline:)`` does: for a client on top, whose
    /// parameters have types. The body is the same, because a function of its own would cost each query executor checks.
    package func run(_ statement: Statement, isIdempotent: Bool, deadline: MonotonicTime) async throws -> QueryResult {
        let leased = try take()
        let begin = EventLoop.shared.now
        let hedged = HedgedQuery(
            statement, on: leased, of: pool, deadline: deadline, isIdempotent: isIdempotent && isPristine,
            canMove: isPristine)
        isPristine = false
        let outcome = await withTaskCancellationHandler { @LoopActor in
            await withUnsafeContinuation { hedged.run(poolContinuation($0)) }
        } onCancel: {
            EventLoop.shared.submit { hedged.cancel() }
        }
        settle(outcome)
        pool.measured(outcome, of: statement, begunAt: begin)
        return try outcome.result.get()
    }

    /// Starts a statement whose result is read in parts, or whose data is sent to it. The connection runs no other until
    /// it has ended.
    ///
    /// - Parameters:
    ///   - isWriting: whether the statement is a `COPY … FROM STDIN`.
    ///   - timeout: how long the server may be silent while it is waited for.
    /// - Throws: as ``run(_:isIdempotent:deadline:)``, which see.
    package func stream(
        _ statement: Statement, isWriting: Bool = false, timeout: Duration
    ) throws(PostgresError) -> PartStream {
        let leased = try take()
        isPristine = false
        let begin = EventLoop.shared.now
        let stream = PartStream(on: leased, of: pool, isWriting: isWriting) { [self] result, leased in
            let outcome = HedgedQuery.Outcome(result: result.mapError { $0 }, leased: leased, hasMoved: false)
            settle(outcome)
            pool.measured(outcome, of: statement, begunAt: begin)
        }
        stream.start(statement, timeout: timeout)
        return stream
    }

    /// Why the session was lost, if that is known.
    package var lossCause: PostgresError? {
        loss ?? leased.flatMap { $0.connection.isClosed ? $0.connection.errorAfterEnd : nil }
    }

    /// Whether a transaction is open, including a failed one; `false` once released or lost.
    package var isInTransaction: Bool { leased?.connection.isInTransaction ?? false }

    /// A parameter that the server reports, as it last reported it; `nil` once released or lost.
    package func parameterStatus(_ name: String) -> String? { leased?.connection.parameterStatus(name) }

    /// Whether the server reports this value; `true` when it reports none. Makes no string.
    package func reports(_ name: String, is value: String) -> Bool {
        leased?.connection.reports(name, is: value, otherwise: true) ?? true
    }

    // Neither of these is inlined, to keep the async frame of waiting tasks small.

    /// Takes the session for the duration of a query.
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
            // Released while the query was running.
            if let leased = outcome.leased { pool.giveBack(leased) }
        } else if let leased = outcome.leased {
            self.leased = leased
        } else if case .failure(let error as PostgresError) = outcome.result, error.concernsWholeSession {
            lossBox = Box(error)
        }
    }

    /// Ends the lease and returns its session; `nil` while a query has it, which then returns it itself.
    func surrender() -> PostgresPool.Leased? {
        defer { leased = nil }
        isReleased = true
        return leased
    }

    private static let released = PostgresError(
        code: PostgresError.Code.closed, message: "the connection has been released or lost",
        hint: "Check another one out.", disposition: .statement, wasNeverSent: true)
}
