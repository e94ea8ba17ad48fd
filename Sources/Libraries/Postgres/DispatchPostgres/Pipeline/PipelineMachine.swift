import DequeModule
@_spi(Containers) import DispatchLoop

/// A pipeline as a value: it assigns statements to sessions, and decides whether to repeat the statements of a lost
/// session.
///
/// ```
///   submitted ─▶ waiting ── a session has room ──▶ in flight ── result ─▶ done
///                 ▲  │ deadline ─▶ failed             │  │ deadline ─▶ failed; drops a later result, and closes the
///                 │  │ refused ─▶ failed              │  │            session if it owes this result next
///                 └──┼───────── session lost, idempotent, first time
///                    └ cancelled                      └─ session lost otherwise ─▶ failed
/// ```
///
/// Invariants, checked by the tests after every step: no session has more than ``depth`` statements in flight;
/// sessions, open and requested, never exceed ``maximumSessions``; every statement is settled exactly once; a statement
/// that is not idempotent is sent once.
struct PipelineMachine: Sendable {
    enum Failure: Sendable, Hashable {
        /// Its deadline passed.
        case timeout(wasSent: Bool)
        /// Its session was lost before it answered.
        case lost(session: Int)
        /// No session was available.
        case refused
    }

    enum Action: Sendable, Hashable {
        /// Request a session; reply with `opened` or `refused`.
        case open
        case send(Int, on: Int)
        case fail(Int, Failure)
        /// Give the idle session back; the machine has forgotten it.
        case giveBack(Int)
        /// Close the session, whose next result is overdue; reply with `lost`.
        case close(Int)
        /// Report that this session has been silent for longer than usual.
        case suspect(Int)
    }

    private struct Statement {
        let deadline: MonotonicTime
        let isIdempotent: Bool
        var tries = 0
        var timer: TimerID?
        /// The session on which it is in flight.
        var session: Int?
        /// Its caller has left, but the session still owes the result.
        var isAbandoned = false
    }

    private struct Session {
        let number: Int
        /// In the order of sending, abandoned ones included.
        var inFlight: Deque<Int> = []
        /// When the session began to owe the next result.
        var waitsSince = MonotonicTime.distantFuture
        var isSuspect = false
        /// When to stop assigning statements, so that the session returns to the pool.
        let retiresAt: MonotonicTime
        var isClosing = false
    }

    let maximumSessions: Int
    /// The maximum number of statements in flight on one session.
    let depth: Int
    /// The maximum number of waiting statements.
    let maximumWaiting: Int
    private let silence: Int64
    /// How long a session is kept before it is given back, so that the pool can check its lifetime and generation.
    static let quantum = Duration.seconds(1)

    private var statements = SlotMap<Statement>()
    /// Waiting statements in FIFO order, and some settled ones, which are skipped.
    private var waiting: Deque<Int> = []
    private(set) var waitingCount = 0
    /// Few, so a linear search is fine.
    private var sessions: [Session] = []
    private var deadlines = DeadlineHeap()
    private(set) var pendingOpens = 0
    private var actions = ActionQueue<Action>()

    init(maximumSessions: Int, depth: Int, maximumWaiting: Int, silence: Duration) {
        self.maximumSessions = maximumSessions
        self.depth = depth
        self.maximumWaiting = maximumWaiting
        self.silence = silence.nanoseconds
    }

    var sessionCount: Int { sessions.count }
    func flightCount(of session: Int) -> Int { sessionIndex(session).map { sessions[$0].inFlight.count } ?? 0 }

    /// The next action for the shell to perform; `nil` when none is left.
    mutating func nextAction() -> Action? { actions.next() }

    /// A small index that no other statement has until this one is settled.
    static func index(of number: Int) -> Int { SlotMap<Statement>.index(of: number) }

    private func sessionIndex(_ session: Int) -> Int? { sessions.firstIndex { $0.number == session } }

    // MARK: Statements

    /// Submits a statement. Returns its number, or `nil` when too many wait already.
    mutating func submit(isIdempotent: Bool, deadline: MonotonicTime, at now: MonotonicTime) -> Int? {
        guard waitingCount < maximumWaiting else { return nil }
        let number = statements.insert(Statement(deadline: deadline, isIdempotent: isIdempotent))
        let timer = deadlines.insert(number, at: deadline)
        statements.update(number) { $0?.timer = timer }
        waiting.append(number)
        waitingCount += 1
        assign(at: now)
        return number
    }

    /// The caller leaves. `false` when the statement is settled already.
    mutating func cancel(_ number: Int) -> Bool {
        guard let statement = statements[number], !statement.isAbandoned else { return false }
        // A statement in flight keeps its deadline, which limits how long a silent session is kept.
        if statement.session == nil { _ = settle(number) } else { statements.update(number) { $0?.isAbandoned = true } }
        return true
    }

    /// The session returned the statement's result.
    ///
    /// - Returns: whether its caller still waits.
    mutating func completed(_ number: Int, on session: Int, at now: MonotonicTime) -> Bool {
        let isWanted = settle(number).map { !$0.isAbandoned } ?? false
        if let index = sessionIndex(session) {
            // The first, unless a statement had to be prepared again.
            if sessions[index].inFlight.first == number {
                sessions[index].inFlight.removeFirst()
            } else {
                sessions[index].inFlight.removeAll { $0 == number }
            }
            sessions[index].waitsSince = sessions[index].inFlight.isEmpty ? .distantFuture : now
            sessions[index].isSuspect = false
        }
        assign(at: now)
        return isWanted
    }

    private mutating func settle(_ number: Int) -> Statement? {
        guard let statement = statements.remove(number) else { return nil }
        if let timer = statement.timer { deadlines.remove(timer) }
        if statement.session == nil {
            waitingCount -= 1
            if waiting.count > 2 * waitingCount + 64 {
                waiting.removeAll { statements[$0] == nil }
            }
        }
        return statement
    }

    // MARK: Sessions

    /// A requested session is available.
    mutating func opened(_ session: Int, at now: MonotonicTime) {
        pendingOpens -= 1
        sessions.append(Session(number: session, retiresAt: now + Self.quantum))
        assign(at: now)
    }

    /// A session ended before its first statement: requests another one.
    mutating func sessionLostBeforeUse(at now: MonotonicTime) {
        pendingOpens -= 1
        assign(at: now)
    }

    /// No session is available: fails the waiting statements unless another session is open.
    mutating func refused(at now: MonotonicTime) {
        pendingOpens -= 1
        guard sessions.isEmpty else { return }
        for number in waiting {
            if settle(number) != nil { actions.append(.fail(number, .refused)) }
        }
        waiting.removeAll()
    }

    /// The session has ended. Its idempotent statements are sent once more, before the waiting ones; the others fail.
    /// Those in `unsent` never left this process, and count as waiting.
    mutating func lost(_ session: Int, unsent: [Int] = [], at now: MonotonicTime) {
        guard let index = sessionIndex(session) else { return }
        let lost = sessions.remove(at: index)
        for number in unsent { statements.update(number) { $0?.tries -= 1 } }
        let unsent = Set(unsent)
        for number in lost.inFlight.reversed() {
            guard let statement = statements[number] else { continue }
            if statement.isAbandoned {
                _ = settle(number)
            } else if statement.isIdempotent || unsent.contains(number), statement.tries < 2, statement.deadline > now {
                statements.update(number) { $0?.session = nil }
                waiting.prepend(number)
                waitingCount += 1
            } else {
                _ = settle(number)
                actions.append(.fail(number, .lost(session: session)))
            }
        }
        assign(at: now)
    }

    /// Sends statements on as few sessions as possible, gives idle sessions back, and requests missing ones.
    private mutating func assign(at now: MonotonicTime) {
        while let number = nextWaiting(), let index = fullestWithRoom(at: now) {
            waiting.removeFirst()
            waitingCount -= 1
            let session = sessions[index].number
            statements.update(number) {
                $0?.tries += 1
                $0?.session = session
            }
            sessions[index].inFlight.append(number)
            if sessions[index].waitsSince == .distantFuture { sessions[index].waitsSince = now }
            actions.append(.send(number, on: session))
        }
        for index in sessions.indices.reversed() where sessions[index].inFlight.isEmpty {
            actions.append(.giveBack(sessions[index].number))
            sessions.remove(at: index)
        }
        let missing = min((waitingCount + depth - 1) / depth, maximumSessions - sessions.count) - pendingOpens
        for _ in 0..<max(missing, 0) {
            pendingOpens += 1
            actions.append(.open)
        }
    }

    private mutating func nextWaiting() -> Int? {
        while let number = waiting.first {
            if statements[number]?.session == nil, statements[number] != nil { return number }
            waiting.removeFirst()
        }
        return nil
    }

    /// The session with room that has most statements in flight, so that the others become idle.
    private func fullestWithRoom(at now: MonotonicTime) -> Int? {
        var best: (index: Int, count: Int)?
        for index in sessions.indices where !sessions[index].isClosing && now < sessions[index].retiresAt {
            let count = sessions[index].inFlight.count
            if count < depth, count > best?.count ?? -1 { best = (index, count) }
        }
        return best?.index
    }

    // MARK: Time

    /// When to call ``tick(at:)`` at the latest.
    var nextDeadline: MonotonicTime {
        var next = deadlines.earliest ?? .distantFuture
        for index in sessions.indices where !sessions[index].isSuspect && !sessions[index].inFlight.isEmpty {
            next = min(next, sessions[index].waitsSince.advanced(byNanoseconds: silence))
        }
        return next
    }

    mutating func tick(at now: MonotonicTime) {
        while let number = deadlines.popDue(at: now) {
            guard let statement = statements[number] else { continue }
            statements.update(number) { $0?.timer = nil }
            _ = settle(number)
            if !statement.isAbandoned { actions.append(.fail(number, .timeout(wasSent: statement.tries > 0))) }
            // The session owes this result next: the statements behind it are stuck as well.
            if let session = statement.session, let index = sessionIndex(session),
                sessions[index].inFlight.first == number
            {
                close(index)
            }
        }
        for index in sessions.indices where !sessions[index].isSuspect {
            let waitsSince = sessions[index].waitsSince
            guard waitsSince != .distantFuture, waitsSince.advanced(byNanoseconds: silence) <= now else { continue }
            sessions[index].isSuspect = true
            // Its deadline passed behind other statements, and now the session owes its result next.
            if let first = sessions[index].inFlight.first, statements[first] == nil, !sessions[index].isClosing {
                close(index)
            } else {
                actions.append(.suspect(sessions[index].number))
            }
        }
        assign(at: now)
    }

    private mutating func close(_ index: Int) {
        guard !sessions[index].isClosing else { return }
        sessions[index].isClosing = true
        actions.append(.close(sessions[index].number))
    }
}
