import DispatchLoop
import PostgresConnection

/// One query on one session, or on another when the first lets it down.
///
/// ```
///   first runs ── answer ─────────────────────────────────────────▶ done
///      │ └─ silent, may be repeated ─▶ second wanted, first runs on
///      └─ ended, may be repeated ───▶ second wanted ── granted ──▶ second runs ── answer ─▶ done
/// ```
///
/// The first answer wins. A first session still silent then is discarded; a second one still running goes home and is
/// waited for there. A silent session is raced by one other at most. One that ended is replaced, and so is its
/// replacement, but no more: with one replacement only, 1 of 1,352 queries failed under 20 restarts in a row.
@LoopActor
final class QueryRace {
    struct Outcome {
        let result: Result<QueryResult, any Error>
        /// The session that the lease goes on with; `nil` when there is none left.
        let leased: PostgresPool.Leased?
    }

    private let statement: Statement
    private let pool: PostgresPool
    private let deadline: MonotonicTime
    private let isRepeatable: Bool
    private let canMove: Bool

    /// Present while it runs.
    private var first: PostgresPool.Leased?
    private var second: PostgresPool.Leased?
    private var waiter: WaiterID?
    private var wantsSecond = false
    /// How often another session has been asked for.
    private var asks = 0
    private static let maximumAsks = 2
    private var completion: (@LoopActor (Outcome) -> Void)?

    init(
        _ statement: Statement, on leased: PostgresPool.Leased, of pool: PostgresPool, deadline: MonotonicTime,
        isRepeatable: Bool, canMove: Bool
    ) {
        self.statement = statement
        self.pool = pool
        self.deadline = deadline
        self.isRepeatable = isRepeatable
        self.canMove = canMove
        first = leased
    }

    func start(_ completion: @escaping @LoopActor (Outcome) -> Void) {
        self.completion = completion
        guard let first else { return }
        run(on: first) {
            self.firstEnded(first, $0)
        } onSilence: {
            self.pool.silent(first.id, canBeAbandoned: self.isRepeatable)
            if self.isRepeatable, self.asks == 0 { self.askForSecond(because: PoolMachine.silenceCause) }
        }
    }

    /// The caller's task was cancelled. What runs goes home and is waited for there.
    func cancel() {
        guard completion != nil else { return }
        if let waiter { pool.takeBack(waiter) }
        let running = [first, second].compactMap { $0 }
        (first, second, waiter) = (nil, nil, nil)
        for leased in running { pool.giveBack(leased) }
        finish(.failure(Self.cancelled), nil)
    }

    private func run(
        on leased: PostgresPool.Leased, completion: @escaping PostgresConnection.Completion,
        onSilence: @escaping @LoopActor () -> Void
    ) {
        leased.connection.start(
            statement, deadline: deadline, silence: EventLoop.shared.now + pool.settings.silence, onSilence: onSilence,
            completion: completion)
    }

    private func firstEnded(_ leased: PostgresPool.Leased, _ result: Result<QueryResult, PostgresError>) {
        guard first != nil else { return }
        first = nil
        guard let error = loss(of: leased, result) else {
            win(leased, result)
            return
        }
        if second == nil, !wantsSecond { retryOrFail(error) }
    }

    /// No session of ours is left.
    private func retryOrFail(_ error: PostgresError) {
        let isSafe = isRepeatable || (error.isProvablyUnsent && canMove)
        if isSafe, asks < Self.maximumAsks, EventLoop.shared.now < deadline {
            askForSecond(because: error)
        } else {
            finish(.failure(error), nil)
        }
    }

    private func askForSecond(because error: PostgresError) {
        asks += 1
        wantsSecond = true
        waiter = pool.request(deadline: deadline) { answer in
            self.wantsSecond = false
            self.waiter = nil
            switch answer {
            case .success(let leased): self.runSecond(leased, because: error)
            case .failure(let refusal):
                // The first may answer yet, if it still runs.
                if self.first == nil { self.finish(.failure(refusal), nil) }
            }
        }
    }

    private func runSecond(_ leased: PostgresPool.Leased, because error: PostgresError) {
        guard completion != nil else {
            pool.giveBack(leased)
            return
        }
        second = leased
        pool.report(.retried(error))
        run(on: leased) {
            self.secondEnded(leased, $0)
        } onSilence: {
            self.pool.silent(leased.id, canBeAbandoned: false)
        }
    }

    private func secondEnded(_ leased: PostgresPool.Leased, _ result: Result<QueryResult, PostgresError>) {
        guard second != nil else { return }
        second = nil
        if let error = loss(of: leased, result) {
            if first == nil { retryOrFail(error) }
        } else {
            win(leased, result)
        }
    }

    /// The error with which the session was lost, after telling the pool of it; `nil` when the session answered.
    private func loss(of leased: PostgresPool.Leased, _ result: Result<QueryResult, PostgresError>) -> PostgresError? {
        if case .failure(let error) = result {
            if leased.connection.isClosed {
                pool.ended(leased.id, error)
                return error
            }
            // A transaction that its own author made read-only says nothing of the server.
            if error.disposition == .wrongRole, leased.connection.isReadOnly { pool.assess(error) }
        }
        pool.heard(leased.id)
        return nil
    }

    private func win(_ leased: PostgresPool.Leased, _ result: Result<QueryResult, PostgresError>) {
        // Forgotten here before they are dealt with: a session that is closed reports its end on the spot.
        let (silent, late, waiting) = (first, second, waiter)
        (first, second, waiter) = (nil, nil, nil)
        if let waiting { pool.takeBack(waiting) }
        if let silent { pool.discard(silent.id, .silent) }
        if let late { pool.giveBack(late) }
        finish(result.mapError { $0 }, leased)
    }

    private func finish(_ result: Result<QueryResult, any Error>, _ leased: PostgresPool.Leased?) {
        let completion = completion
        self.completion = nil
        completion?(Outcome(result: result, leased: leased))
    }

    private static let cancelled = PostgresError(
        code: PostgresError.Code.cancelled, message: "the task was cancelled while its query was running",
        disposition: .statement)
}
