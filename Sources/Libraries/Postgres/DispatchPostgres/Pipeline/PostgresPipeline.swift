public import DispatchLoop
public import PostgresSession

/// Runs many small independent statements over a few of a pool's connections. A connection has several statements in
/// flight, and does not wait for one result before it sends the next statement.
///
/// ```swift
/// let pipeline = PostgresPipeline(pool, maximumSessions: 2)
/// let result = try await pipeline.query("select name from users where id = $1", parameters: ["7"], deadline: deadline)
/// ```
///
/// Every statement is a transaction of its own, and fails alone. When a connection ends, the pipeline sends its
/// idempotent statements without a result once more; the others fail. For a transaction, or for a statement that takes
/// long (those behind it wait), check a connection out instead.
///
/// A pipeline pays where many tasks query at the same time and each statement costs the server little: the statements
/// of one round of the event loop leave together, and the results arrive together (`scripts/bench pipeline` measures
/// it). With libpq 17 or later a round is one system call per connection; before, one per statement, but still one
/// segment.
///
/// The pipeline fills one connection to its depth before it uses another, and a connection runs its statements one
/// after the other. Few deep connections cost least; more, shallower ones use more of the server's processors.
///
/// It checks connections out while it has statements, and returns them afterwards, or after a second.
@LoopActor
public final class PostgresPipeline {
    private struct Pending {
        let statement: Statement
        let continuation: PoolContinuation<Result<QueryResult, any Error>>
    }

    private let pool: PostgresPool
    private let loop = EventLoop.shared
    private var machine: PipelineMachine
    /// Indexed by the machine's indices.
    private var pending: [Pending?] = []
    /// Few, so a linear search is fine.
    private var sessions: [PipelineLease] = []
    private var nextSession = 0
    private var refusal: PoolError?
    /// Why each session whose statements now fail was lost.
    private var losses: [Int: PostgresError] = [:]
    private var timer = DeadlineTimer()
    private var isPerforming = false

    /// Creates a pipeline over connections of `pool`.
    ///
    /// - Parameters:
    ///   - pool: the pool.
    ///   - maximumSessions: the maximum number of connections in use.
    ///   - depth: the maximum number of statements in flight on one of them.
    ///   - maximumWaiting: the maximum number of waiting statements; further ones fail with
    ///     ``PoolError/Kind/saturated``.
    public init(_ pool: PostgresPool, maximumSessions: Int = 2, depth: Int = 64, maximumWaiting: Int = 10_000) {
        precondition(maximumSessions > 0 && depth > 0 && maximumWaiting > 0, "a pipeline's limits must be positive")
        self.pool = pool
        machine = PipelineMachine(
            maximumSessions: maximumSessions, depth: depth, maximumWaiting: maximumWaiting,
            silence: pool.settings.silenceTimeout)
    }

    /// Closes sessions that still owe results: they would not return on their own.
    isolated deinit {
        timer.cancel()
        for lease in sessions { pool.discard(lease.leased.id, .failed) }
    }

    /// Runs a statement.
    ///
    /// - Parameters:
    ///   - sql: one statement, not several, and none that begins a transaction.
    ///   - parameters: the values of `$1`, `$2` …, as text; `nil` is NULL.
    ///   - isIdempotent: whether running it twice does no harm.
    ///   - isPrepared: whether the session keeps the statement prepared for its next use.
    ///   - deadline: when both the wait and the statement end.
    /// - Throws: ``PostgresError`` of the statement or its connection, or ``PoolError`` when no connection was
    ///   available.
    public func query(
        _ sql: String, parameters: [String?] = [], isIdempotent: Bool = false, isPrepared: Bool = false,
        deadline: MonotonicTime
    ) async throws -> QueryResult {
        let ticket = PipelineCancellation()
        let statement = try Statement(sql, parameters: parameters, isPrepared: isPrepared)
        let result = await withTaskCancellationHandler { @LoopActor in
            await withUnsafeContinuation { continuation in
                let entry = Pending(statement: statement, continuation: poolContinuation(continuation))
                if Task.isCancelled {
                    entry.continuation.resume(returning: .failure(cancelled))
                } else {
                    submit(entry, isIdempotent, deadline, ticket)
                }
            }
        } onCancel: {
            EventLoop.shared.submit { self.cancel(ticket) }
        }
        return try result.get()
    }

    /// How many statements are in flight.
    var flightCount: Int { sessions.reduce(0) { $0 + $1.leased.connection.flightCount } }

    private func submit(
        _ entry: Pending, _ isIdempotent: Bool, _ deadline: MonotonicTime, _ ticket: PipelineCancellation
    ) {
        guard let number = machine.submit(isIdempotent: isIdempotent, deadline: deadline, at: loop.now) else {
            let error = PoolError(kind: .saturated, health: pool.snapshot.health)
            entry.continuation.resume(returning: .failure(error))
            return
        }
        ticket.number = number
        let index = PipelineMachine.index(of: number)
        while pending.count <= index { pending.append(nil) }
        pending[index] = entry
        perform()
    }

    private var cancelled: PoolError { PoolError(kind: .cancelled, health: pool.snapshot.health) }

    private func cancel(_ ticket: PipelineCancellation) {
        guard let number = ticket.number, machine.cancel(number) else { return }
        settle(number, .failure(cancelled))
    }

    private func settle(_ number: Int, _ result: Result<QueryResult, any Error>) {
        pending[PipelineMachine.index(of: number)].take()?.continuation.resume(returning: result)
    }

    // MARK: Sessions

    private func open() {
        _ = pool.request(deadline: .distantFuture) { [weak self, pool] outcome in
            switch outcome {
            case .success(let leased):
                guard let self else { return pool.giveBack(leased) }
                opened(leased)
            case .failure(let error):
                guard let self else { return }
                refusal = error
                machine.refused(at: loop.now)
                perform()
            }
        }
    }

    private func opened(_ leased: PostgresPool.Leased) {
        nextSession += 1
        let session = PipelineLease(number: nextSession, leased: leased, of: self)
        if leased.connection.enterPipeline(client: session) {
            sessions.append(session)
            machine.opened(session.number, at: loop.now)
        } else {
            pool.giveBack(leased)
            machine.sessionLostBeforeUse(at: loop.now)
        }
        perform()
    }

    fileprivate func completed(_ number: Int, on session: PipelineLease, _ result: Result<QueryResult, PostgresError>) {
        pool.recordReply(session.leased.id)
        if machine.completed(number, on: session.number, at: loop.now) { settle(number, result.mapError { $0 }) }
        perform()
    }

    fileprivate func disconnected(_ session: PipelineLease, _ error: PostgresError, unsent: [Int]) {
        guard remove(session.number) != nil else { return }
        losses[session.number] = error
        pool.disconnected(session.leased.id, error)
        machine.lost(session.number, unsent: unsent, at: loop.now)
        perform()
    }

    private func lease(_ number: Int) -> PipelineLease? { sessions.first { $0.number == number } }

    private func remove(_ number: Int) -> PipelineLease? {
        sessions.firstIndex { $0.number == number }.map { sessions.remove(at: $0) }
    }

    // MARK: Performing

    private func perform() {
        if isPerforming { return }
        isPerforming = true
        while let action = machine.nextAction() { perform(action) }
        isPerforming = false
        if !losses.isEmpty { losses.removeAll() }
        armTimer()
    }

    private func perform(_ action: PipelineMachine.Action) {
        switch action {
        case .open: open()
        case .send(let number, let session):
            guard let entry = pending[PipelineMachine.index(of: number)] else { return }
            lease(session)?.leased.connection.sendInPipeline(entry.statement, number: number)
        case .fail(let number, .timeout(let wasSent)): settle(number, .failure(timeout(wasSent: wasSent)))
        case .fail(let number, .lost(let session)):
            settle(number, .failure(losses[session] ?? PostgresConnection.closedError))
        case .fail(let number, .refused):
            settle(number, .failure(refusal ?? PoolError(kind: .unavailable, health: pool.snapshot.health)))
        case .giveBack(let session):
            guard let lease = remove(session) else { return }
            if lease.leased.connection.exitPipeline() {
                pool.giveBack(lease.leased)
            } else {
                pool.discard(lease.leased.id, .failed)
            }
        case .close(let session):
            guard let lease = lease(session) else { return }
            lease.leased.connection.failPipeline(Self.overdue(lease.leased.connection.endpoint))
        case .suspect(let session):
            guard let lease = lease(session) else { return }
            pool.silent(lease.leased, hedging: nil)
        }
    }

    private func timeout(wasSent: Bool) -> any Error {
        if wasSent {
            return PostgresError(
                code: PostgresError.Code.queryTimeout, message: "the database did not answer the query in time",
                disposition: .discard)
        }
        let health = pool.snapshot.health
        return PoolError(kind: health == .up ? .saturated : .unavailable, health: health)
    }

    private static func overdue(_ endpoint: String) -> PostgresError {
        PostgresError(
            code: PostgresError.Code.queryTimeout,
            message: "the database did not answer an earlier statement of the pipeline in time",
            disposition: .discard, endpoint: endpoint)
    }

    private func armTimer() {
        let deadline = machine.nextDeadline
        guard timer.needsRearm(for: deadline) else { return }
        timer.set(for: deadline) { [weak self] in
            guard let self else { return }
            timer.fired()
            machine.tick(at: loop.now)
            perform()
        }
    }
}

/// A connection that a pipeline has checked out.
@LoopActor
private final class PipelineLease: PipelineClient {
    let number: Int
    let leased: PostgresPool.Leased
    private weak var pipeline: PostgresPipeline?

    init(number: Int, leased: PostgresPool.Leased, of pipeline: PostgresPipeline) {
        self.number = number
        self.leased = leased
        self.pipeline = pipeline
    }

    func connection(
        _ connection: PostgresConnection, answered number: Int, with result: Result<QueryResult, PostgresError>
    ) {
        pipeline?.completed(number, on: self, result)
    }

    func connection(_ connection: PostgresConnection, endedInPipeline error: PostgresError, unsent: [Int]) {
        pipeline?.disconnected(self, error, unsent: unsent)
    }
}

/// Links a cancellation handler to its statement; used on the loop only.
@LoopActor
private final class PipelineCancellation {
    var number: Int?
    nonisolated init() {}
}
