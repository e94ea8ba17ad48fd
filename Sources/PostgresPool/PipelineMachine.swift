import DequeModule
import DispatchLoop

/// A pipeline as a value: which statement goes out on which session, and what becomes of those that are lost.
///
/// ```
///   submitted ─▶ waiting ── a session has room ──▶ in flight ── answered ─▶ done
///                 ▲  │ deadline ─▶ failed             │  │ deadline ─▶ failed; the answer, when it comes, is dropped
///                 │  │ refused ─▶ failed              │  └ and the session is closed, if it was the next to answer
///                 └──┼───────── session lost, may be repeated, for the first time
///                    └ cancelled                      └─ session lost otherwise ─▶ failed
/// ```
///
/// Invariants, checked by the tests after every step: no session has more in flight than ``depth``; there are never more
/// sessions, open and asked for, than ``maximumSessions``; every statement is settled exactly once; a statement that may not
/// be repeated is sent once.
struct PipelineMachine: Sendable {
    enum Failure: Sendable, Hashable {
        /// Its deadline passed.
        case timeout(wasSent: Bool)
        /// Its session was lost before it answered.
        case lost(session: Int)
        /// No session was to be had.
        case refused
    }

    enum Action: Sendable, Hashable {
        /// Ask for a session; answer with `opened` or `refused`.
        case open
        case send(Int, on: Int)
        case fail(Int, Failure)
        /// The session has nothing to do: give it back. It is not used any more.
        case giveBack(Int)
        /// The session owes an answer that is overdue: close it; answer with `lost`.
        case close(Int)
        /// Nothing has been heard of this session for as long as a query may be silent.
        case suspect(Int)
    }

    private struct Statement {
        let deadline: MonotonicTime
        let isRepeatable: Bool
        var tries = 0
        var timer: TimerID?
        /// On which session it is in flight.
        var session: Int?
        /// Nobody waits for the answer any more, but the session owes it still.
        var isAbandoned = false
    }

    private struct Session {
        /// In the order in which they were sent. Those that have been given up are here still.
        var flights: Deque<Int> = []
        /// Since when the next answer has been waited for.
        var waitsSince = MonotonicTime.distantFuture
        var isSuspect = false
        /// Gets no further statements, so that it comes home some day.
        let retiresAt: MonotonicTime
        var isClosing = false
    }

    let maximumSessions: Int
    /// The most statements in flight on one session.
    let depth: Int
    /// The most statements that wait.
    let maximumWaiting: Int
    let silence: Duration
    /// How long a session is kept before it is given back, for its lifetime and its generation to be looked at.
    static let turn = Duration.seconds(1)

    private var statements: [Int: Statement] = [:]
    /// Those who wait, and some who do not any more: they are passed over when their turn comes.
    private var waiting: Deque<Int> = []
    private(set) var waitingCount = 0
    private var sessions: [Int: Session] = [:]
    private var deadlines = DeadlineHeap()
    private var nextNumber = 0
    private(set) var wanted = 0
    private(set) var actions: [Action] = []

    init(maximumSessions: Int, depth: Int, maximumWaiting: Int, silence: Duration) {
        self.maximumSessions = maximumSessions
        self.depth = depth
        self.maximumWaiting = maximumWaiting
        self.silence = silence
    }

    var sessionCount: Int { sessions.count }
    func flightCount(of session: Int) -> Int { sessions[session]?.flights.count ?? 0 }

    mutating func takeActions() -> [Action] {
        defer { actions.removeAll(keepingCapacity: true) }
        return actions
    }

    // MARK: Statements

    /// A statement is to be sent; returns its number, or `nil` when too many wait already.
    mutating func submit(isRepeatable: Bool, deadline: MonotonicTime, at now: MonotonicTime) -> Int? {
        guard waitingCount < maximumWaiting else { return nil }
        nextNumber += 1
        statements[nextNumber] = Statement(
            deadline: deadline, isRepeatable: isRepeatable, timer: deadlines.insert(nextNumber, at: deadline))
        waiting.append(nextNumber)
        waitingCount += 1
        let number = nextNumber
        assign(at: now)
        return number
    }

    /// Nobody wants the answer any more. `false` when the statement has been settled already.
    mutating func cancel(_ number: Int) -> Bool {
        guard let statement = statements[number], !statement.isAbandoned else { return false }
        // One in flight keeps its deadline: a session that never answers it is not kept for ever.
        if statement.session == nil { _ = settle(number) } else { statements[number]?.isAbandoned = true }
        return true
    }

    /// The session answered this one.
    ///
    /// - Returns: whether anybody still waits for it.
    mutating func answered(_ number: Int, on session: Int, at now: MonotonicTime) -> Bool {
        let isWanted = settle(number).map { !$0.isAbandoned } ?? false
        if var state = sessions[session] {
            // It is the first, but for one that had to be prepared once more.
            if state.flights.first == number {
                state.flights.removeFirst()
            } else {
                state.flights.removeAll { $0 == number }
            }
            state.waitsSince = state.flights.isEmpty ? .distantFuture : now
            state.isSuspect = false
            sessions[session] = state
        }
        assign(at: now)
        return isWanted
    }

    private mutating func settle(_ number: Int) -> Statement? {
        guard let statement = statements.removeValue(forKey: number) else { return nil }
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

    /// A session that was asked for is there.
    mutating func opened(_ session: Int, at now: MonotonicTime) {
        wanted -= 1
        sessions[session] = Session(retiresAt: now + Self.turn)
        assign(at: now)
    }

    /// The session that was there had ended before anything was sent on it: another one is asked for.
    mutating func openedInVain(at now: MonotonicTime) {
        wanted -= 1
        assign(at: now)
    }

    /// There is no session to be had: those who wait are told.
    mutating func refused(at now: MonotonicTime) {
        wanted -= 1
        guard sessions.isEmpty else { return }
        let numbers = waiting
        for number in numbers where settle(number) != nil { actions.append(.fail(number, .refused)) }
        waiting.removeAll()
    }

    /// The session has ended. Only what was sent and not answered is concerned, and of that, what may be repeated is sent
    /// once more, before those who have not had their turn. What is among `unsent` never left: it has not had its turn.
    mutating func lost(_ session: Int, unsent: [Int] = [], at now: MonotonicTime) {
        guard let lost = sessions.removeValue(forKey: session) else { return }
        for number in unsent { statements[number]?.tries -= 1 }
        let unsent = Set(unsent)
        for number in lost.flights.reversed() {
            guard let statement = statements[number] else { continue }
            if statement.isAbandoned {
                _ = settle(number)
            } else if statement.isRepeatable || unsent.contains(number), statement.tries < 2, statement.deadline > now {
                statements[number]?.session = nil
                waiting.prepend(number)
                waitingCount += 1
            } else {
                _ = settle(number)
                actions.append(.fail(number, .lost(session: session)))
            }
        }
        assign(at: now)
    }

    /// Sends what can be sent, on as few sessions as possible, and gives back those that have nothing to do.
    private mutating func assign(at now: MonotonicTime) {
        while let number = nextWaiting(), let session = fullestWithRoom(at: now) {
            waiting.removeFirst()
            waitingCount -= 1
            statements[number]?.tries += 1
            statements[number]?.session = session
            sessions[session]?.flights.append(number)
            if sessions[session]?.waitsSince == .distantFuture { sessions[session]?.waitsSince = now }
            actions.append(.send(number, on: session))
        }
        for (session, state) in sessions where state.flights.isEmpty {
            sessions[session] = nil
            actions.append(.giveBack(session))
        }
        let missing = min((waitingCount + depth - 1) / depth, maximumSessions - sessions.count) - wanted
        for _ in 0..<max(missing, 0) {
            wanted += 1
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

    /// The one with most in flight that has room, so that the others can drain and go home.
    private func fullestWithRoom(at now: MonotonicTime) -> Int? {
        var best: (session: Int, count: Int)?
        for (session, state) in sessions where !state.isClosing && state.flights.count < depth && now < state.retiresAt
        {
            if state.flights.count > best?.count ?? -1 { best = (session, state.flights.count) }
        }
        return best?.session
    }

    // MARK: Time

    /// When ``tick(at:)`` is to be called at the latest.
    var nextDeadline: MonotonicTime {
        var next = deadlines.earliest ?? .distantFuture
        for state in sessions.values where !state.isSuspect && state.waitsSince != .distantFuture {
            next = min(next, state.waitsSince + silence)
        }
        return next
    }

    mutating func tick(at now: MonotonicTime) {
        while let number = deadlines.popDue(at: now) {
            guard let statement = statements[number] else { continue }
            statements[number]?.timer = nil
            _ = settle(number)
            if !statement.isAbandoned { actions.append(.fail(number, .timeout(wasSent: statement.tries > 0))) }
            // Its answer is the next one to come, and has not come in time. Behind it nothing comes either.
            if let session = statement.session, sessions[session]?.flights.first == number, !isClosing(session) {
                sessions[session]?.isClosing = true
                actions.append(.close(session))
            }
        }
        for (session, state) in sessions where !state.isSuspect && state.waitsSince != .distantFuture {
            guard state.waitsSince + silence <= now else { continue }
            sessions[session]?.isSuspect = true
            // Its deadline passed while others were before it, and now that it is its turn nothing comes.
            if let first = state.flights.first, statements[first] == nil, !state.isClosing {
                sessions[session]?.isClosing = true
                actions.append(.close(session))
            } else {
                actions.append(.suspect(session))
            }
        }
        assign(at: now)
    }

    private func isClosing(_ session: Int) -> Bool { sessions[session]?.isClosing ?? true }
}
