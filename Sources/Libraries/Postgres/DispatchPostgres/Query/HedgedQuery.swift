import DispatchLoop
import PostgresSession

/// Runs a query on one session, and on another one if the first dies or stalls: a hedged request (Dean and Barroso,
/// "The Tail at Scale", CACM 56(2), 2013).
///
/// ```
///   primary runs ── answer ─────────────────────────────────────────▶ done
///      │ └─ silent, idempotent, the pool allows it ─▶ hedge requested, primary continues
///      └─ ended, idempotent ────────▶ hedge requested ── granted ──▶ hedge runs ── answer ─▶ done
///   deadline: running sessions go back to the pool, which ends their statements
/// ```
///
/// The first answer wins. A session that still runs then returns to the pool, which ends its statement, unless its path
/// is dead. A silent session gets one hedge. A session that ended is replaced, and so is its replacement, but no
/// further one: the query itself may be ending them. With only one replacement, 1 of 1,352 queries failed under 20
/// restarts in a row. An administrator who terminates sessions (57P01) does so one after the other, on a busy machine
/// slowly enough for one query to meet several.
@LoopActor
final class HedgedQuery: StatementDelegate {
    struct Outcome {
        let result: Result<QueryResult, any Error>
        /// The session that the lease continues with; `nil` when none is left.
        let leased: PostgresPool.Leased?
        /// Whether a session other than the first gave the result.
        let hasMoved: Bool
    }

    private let statement: Statement
    private let pool: PostgresPool
    private let deadline: MonotonicTime
    private let isIdempotent: Bool
    private let canMove: Bool

    /// Present while they run the query.
    private var primary: PostgresPool.Leased?
    private var hedge: PostgresPool.Leased?
    private var waiter: WaiterID?
    private var wantsHedge = false
    /// How many further sessions have been requested.
    private var attempts = 0
    private static let maximumAttempts = 2
    /// The same limit when an administrator terminated the session, which the query cannot have caused.
    private static let maximumAttemptsWhenTerminated = 5
    /// Present until the outcome is known.
    private var continuation: PoolContinuation<Outcome>?

    init(
        _ statement: Statement, on leased: PostgresPool.Leased, of pool: PostgresPool, deadline: MonotonicTime,
        isIdempotent: Bool, canMove: Bool
    ) {
        self.statement = statement
        self.pool = pool
        self.deadline = deadline
        self.isIdempotent = isIdempotent
        self.canMove = canMove
        primary = leased
    }

    /// Begins, and resumes `continuation` with the outcome.
    func run(_ continuation: PoolContinuation<Outcome>) {
        self.continuation = continuation
        // Do not run a query for a cancelled task.
        if Task.isCancelled { return cancel() }
        if let primary { start(on: primary) }
    }

    /// The caller's task was cancelled. Running sessions go back to the pool, which ends their statements.
    func cancel() {
        guard continuation != nil else { return }
        withdraw(isOverdue: false)
        finish(.failure(Self.cancelled), nil)
    }

    private func start(on leased: PostgresPool.Leased) {
        leased.connection.start(statement, deadline: deadline, silence: pool.silenceLimit, client: self)
    }

    // A session that has gone back to the pool may still report here; it is neither the primary nor the hedge.

    func connection(_ connection: PostgresConnection, finished result: Result<QueryResult, PostgresError>) {
        if let primary, primary.connection === connection {
            primaryEnded(primary, result)
        } else if let hedge, hedge.connection === connection {
            hedgeEnded(hedge, result)
        }
    }

    func connectionIsSilent(_ connection: PostgresConnection) {
        if let primary, primary.connection === connection {
            pool.silent(primary, hedging: isIdempotent && attempts == 0 ? self : nil, answerBy: deadline)
        } else if let hedge, hedge.connection === connection {
            pool.silent(hedge, hedging: nil, answerBy: deadline)
        }
    }

    /// The pool allows the silent query to run on another session as well.
    func startHedge() {
        if continuation != nil, primary != nil, attempts == 0 { requestHedge(because: PoolMachine.silenceCause) }
    }

    func connectionIsOverdue(_ connection: PostgresConnection) -> Bool {
        guard continuation != nil else { return false }
        let running = [primary, hedge].compactMap { $0 }
        guard running.contains(where: { $0.connection === connection }) else { return false }
        withdraw(isOverdue: true)
        finish(.failure(connection.overdueError), nil)
        return true
    }

    /// Gives the running sessions back and withdraws the waiter.
    private func withdraw(isOverdue: Bool) {
        if let waiter { pool.withdraw(waiter) }
        // Cleared first, because a session that the pool closes reports its end at once.
        let running = [primary, hedge].compactMap { $0 }
        (primary, hedge, waiter) = (nil, nil, nil)
        for leased in running { pool.giveBack(leased, isOverdue: isOverdue) }
    }

    private func primaryEnded(_ leased: PostgresPool.Leased, _ result: Result<QueryResult, PostgresError>) {
        primary = nil
        guard let error = disconnectError(of: leased, result) else {
            complete(leased, result, hasMoved: false)
            return
        }
        if hedge == nil, !wantsHedge { retryOrFail(error) }
    }

    /// No session is left.
    private func retryOrFail(_ error: PostgresError) {
        let isSafe = isIdempotent || (error.wasNeverSent && canMove)
        let most = error.disposition == .terminated ? Self.maximumAttemptsWhenTerminated : Self.maximumAttempts
        if isSafe, attempts < most, EventLoop.shared.now < deadline {
            requestHedge(because: error)
        } else {
            finish(.failure(error), nil)
        }
    }

    private func requestHedge(because error: PostgresError) {
        attempts += 1
        wantsHedge = true
        waiter = pool.request(deadline: deadline) { outcome in
            self.wantsHedge = false
            self.waiter = nil
            switch outcome {
            case .success(let leased): self.runHedge(leased, because: error)
            case .failure(let refusal):
                // The primary may still answer.
                if self.primary == nil { self.finish(.failure(refusal), nil) }
            }
        }
    }

    private func runHedge(_ leased: PostgresPool.Leased, because error: PostgresError) {
        guard continuation != nil else {
            pool.giveBack(leased)
            return
        }
        hedge = leased
        pool.report(.retried(error))
        start(on: leased)
    }

    private func hedgeEnded(_ leased: PostgresPool.Leased, _ result: Result<QueryResult, PostgresError>) {
        hedge = nil
        if let error = disconnectError(of: leased, result) {
            if primary == nil { retryOrFail(error) }
        } else {
            complete(leased, result, hasMoved: true)
        }
    }

    /// Reports the session's end or reply to the pool. Returns the error that ended the session; `nil` when it replied.
    private func disconnectError(
        of leased: PostgresPool.Leased, _ result: Result<QueryResult, PostgresError>
    ) -> PostgresError? {
        if case .failure(let error) = result {
            if leased.connection.isClosed {
                pool.disconnected(leased.id, error)
                return error
            }
            // A transaction that its author made read-only says nothing about the server.
            if error.disposition == .wrongRole, leased.connection.hasWrongRole(for: pool.target) {
                pool.classify(error)
            }
        }
        pool.recordReply(leased.id, took: leased.connection.latestAnswerNanoseconds)
        return nil
    }

    private func complete(
        _ leased: PostgresPool.Leased, _ result: Result<QueryResult, PostgresError>, hasMoved: Bool
    ) {
        // Cleared first, because a session that the pool closes reports its end at once.
        let (silent, late, waiting) = (primary, hedge, waiter)
        (primary, hedge, waiter) = (nil, nil, nil)
        if let waiting { pool.withdraw(waiting) }
        if let silent {
            if silent.connection.path == .lost {
                pool.discard(silent.id, .silent)
            } else {
                pool.giveBack(silent, hasLost: true)
            }
        }
        if let late { pool.giveBack(late, hasLost: true) }
        finish(result.mapError { $0 }, leased, hasMoved: hasMoved)
    }

    private func finish(
        _ result: Result<QueryResult, any Error>, _ leased: PostgresPool.Leased?, hasMoved: Bool = false
    ) {
        let continuation = continuation
        self.continuation = nil
        continuation?.resume(returning: Outcome(result: result, leased: leased, hasMoved: hasMoved))
    }

    private static let cancelled = PostgresError(
        code: PostgresError.Code.cancelled, message: "the task was cancelled while its query was running",
        disposition: .statement)
}
