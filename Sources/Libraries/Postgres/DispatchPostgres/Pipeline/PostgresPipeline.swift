public import DispatchLoop
public import PostgresSession

/// Many small statements that have nothing to do with each other, over a few of a pool's connections: each connection has
/// several in flight and does not wait for one's answer to send the next.
///
/// ```swift
/// let pipeline = PostgresPipeline(pool, maximumSessions: 2)
/// let result = try await pipeline.query("select name from users where id = $1", parameters: ["7"], deadline: deadline)
/// ```
///
/// Every statement is a transaction of its own, and one that fails takes no other along. When a connection ends, only what
/// it was sent and had not answered is lost, and of that, what may be repeated is sent once more. For a transaction, or for
/// a statement that takes its time (those behind it wait for it), check a connection out instead.
///
/// Worth it where many tasks ask at the same time and each statement takes the server little: what comes up in one round of
/// the loop goes out together, and answers come in together, so that both sides do less for each (`scripts/bench pipeline`
/// shows how much). With libpq 17 or later a round is one system call per connection; before, one per statement, but still
/// one segment. Where one statement comes at a time there is nothing to share.
///
/// One connection is filled to its depth before another is taken, and its statements run one after the other: few and deep
/// costs the least, more and less deep uses more of the server's processors.
///
/// Connections are checked out while there is something to send, and given back after that, or after a second.
@LoopActor
public final class PostgresPipeline {
    private struct Pending {
        let statement: Statement
        let continuation: PoolContinuation<Result<QueryResult, any Error>>
    }

    private let pool: PostgresPool
    private let loop = EventLoop.shared
    private var machine: PipelineMachine
    /// By the machine's places for them.
    private var pending: [Pending?] = []
    /// Few, and so found by looking at each.
    private var sessions: [PipelineLease] = []
    private var nextSession = 0
    private var refusal: PoolError?
    /// Why the sessions were lost whose statements are just being failed.
    private var losses: [Int: PostgresError] = [:]
    private var timer = DeadlineTimer()
    private var isPerforming = false
    /// Empty but while they are performed.
    private var actions: [PipelineMachine.Action] = []

    /// A pipeline over connections of `pool`.
    ///
    /// - Parameters:
    ///   - pool: the pool that it checks connections out of.
    ///   - maximumSessions: the most connections that it uses at a time.
    ///   - depth: the most statements in flight on one of them.
    ///   - maximumWaiting: the most statements that wait to be sent; more are told that the pool is saturated.
    public init(_ pool: PostgresPool, maximumSessions: Int = 2, depth: Int = 64, maximumWaiting: Int = 10_000) {
        precondition(maximumSessions > 0 && depth > 0 && maximumWaiting > 0, "a pipeline's limits must be positive")
        self.pool = pool
        machine = PipelineMachine(
            maximumSessions: maximumSessions, depth: depth, maximumWaiting: maximumWaiting,
            silence: pool.settings.silenceTimeout)
    }

    /// Sessions that owe answers to statements that were given up would not come home by themselves.
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
    ///   - deadline: when to give up.
    /// - Throws: ``PostgresError`` of the statement or of the connection it was sent on, or ``PoolError`` when there was no
    ///   connection to be had.
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

    /// How many statements have been sent and not been answered.
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
        let place = PipelineMachine.place(of: number)
        while pending.count <= place { pending.append(nil) }
        pending[place] = entry
        perform()
    }

    private var cancelled: PoolError { PoolError(kind: .cancelled, health: pool.snapshot.health) }

    private func cancel(_ ticket: PipelineCancellation) {
        guard let number = ticket.number, machine.cancel(number) else { return }
        settle(number, .failure(cancelled))
    }

    private func settle(_ number: Int, _ result: Result<QueryResult, any Error>) {
        pending[PipelineMachine.place(of: number)].take()?.continuation.resume(returning: result)
    }

    // MARK: Sessions

    private func open() {
        _ = pool.request(deadline: .distantFuture) { [weak self, pool] answer in
            switch answer {
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

    fileprivate func answered(_ number: Int, on session: PipelineLease, _ result: Result<QueryResult, PostgresError>) {
        pool.recordReply(session.leased.id)
        if machine.answered(number, on: session.number, at: loop.now) { settle(number, result.mapError { $0 }) }
        perform()
    }

    fileprivate func ended(_ session: PipelineLease, _ error: PostgresError, unsent: [Int]) {
        guard remove(session.number) != nil else { return }
        losses[session.number] = error
        pool.ended(session.leased.id, error)
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
        while machine.exchangeActions(&actions) {
            for action in actions { perform(action) }
            actions.removeAll(keepingCapacity: true)
        }
        isPerforming = false
        if !losses.isEmpty { losses.removeAll() }
        armTimer()
    }

    private func perform(_ action: PipelineMachine.Action) {
        switch action {
        case .open: open()
        case .send(let number, let session):
            guard let entry = pending[PipelineMachine.place(of: number)] else { return }
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
        pipeline?.answered(number, on: self, result)
    }

    func connection(_ connection: PostgresConnection, endedInPipeline error: PostgresError, unsent: [Int]) {
        pipeline?.ended(self, error, unsent: unsent)
    }
}

/// What a cancellation handler needs to find its statement; touched on the loop only.
@LoopActor
private final class PipelineCancellation {
    var number: Int?
    nonisolated init() {}
}
