import DequeModule
@_spi(Containers) import DispatchLoop

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
        let isIdempotent: Bool
        var tries = 0
        var timer: TimerID?
        /// On which session it is in flight.
        var session: Int?
        /// Nobody waits for the answer any more, but the session owes it still.
        var isAbandoned = false
    }

    private struct Session {
        let number: Int
        /// In the order in which they were sent. Those that have been given up are here still.
        var inFlight: Deque<Int> = []
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
    private let silence: Int64
    /// How long a session is kept before it is given back, for its lifetime and its generation to be looked at.
    static let turn = Duration.seconds(1)

    private var statements = SlotMap<Statement>()
    /// Those who wait, and some who do not any more: they are passed over when their turn comes.
    private var waiting: Deque<Int> = []
    private(set) var waitingCount = 0
    /// Few, and so found by looking at each.
    private var sessions: [Session] = []
    private var deadlines = TimerHeap<Int>()
    private(set) var pendingOpens = 0
    private var actions: [Action] = []

    init(maximumSessions: Int, depth: Int, maximumWaiting: Int, silence: Duration) {
        self.maximumSessions = maximumSessions
        self.depth = depth
        self.maximumWaiting = maximumWaiting
        self.silence = silence.nanoseconds
    }

    var sessionCount: Int { sessions.count }
    func flightCount(of session: Int) -> Int { index(of: session).map { sessions[$0].inFlight.count } ?? 0 }

    /// Hands out what is to be done, for an empty array that takes what comes up next: none is allocated each time.
    ///
    /// - Returns: whether there is anything.
    mutating func exchangeActions(_ other: inout [Action]) -> Bool {
        swap(&actions, &other)
        return !other.isEmpty
    }

    /// A small number that is the statement's alone until it is settled.
    static func place(of number: Int) -> Int { SlotMap<Statement>.index(of: number) }

    private func index(of session: Int) -> Int? { sessions.firstIndex { $0.number == session } }

    // MARK: Statements

    /// A statement is to be sent; returns its number, or `nil` when too many wait already.
    mutating func submit(isIdempotent: Bool, deadline: MonotonicTime, at now: MonotonicTime) -> Int? {
        guard waitingCount < maximumWaiting else { return nil }
        let number = statements.insert(Statement(deadline: deadline, isIdempotent: isIdempotent))
        statements[number]?.timer = deadlines.insert(number, at: deadline)
        waiting.append(number)
        waitingCount += 1
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
        if let index = index(of: session) {
            // It is the first, but for one that had to be prepared once more.
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

    /// A session that was asked for is there.
    mutating func opened(_ session: Int, at now: MonotonicTime) {
        pendingOpens -= 1
        sessions.append(Session(number: session, retiresAt: now + Self.turn))
        assign(at: now)
    }

    /// The session that was there had ended before anything was sent on it: another one is asked for.
    mutating func sessionLostBeforeUse(at now: MonotonicTime) {
        pendingOpens -= 1
        assign(at: now)
    }

    /// There is no session to be had: those who wait are told.
    mutating func refused(at now: MonotonicTime) {
        pendingOpens -= 1
        guard sessions.isEmpty else { return }
        let numbers = waiting
        for number in numbers where settle(number) != nil { actions.append(.fail(number, .refused)) }
        waiting.removeAll()
    }

    /// The session has ended. Only what was sent and not answered is concerned, and of that, what may be repeated is sent
    /// once more, before those who have not had their turn. What is among `unsent` never left: it has not had its turn.
    mutating func lost(_ session: Int, unsent: [Int] = [], at now: MonotonicTime) {
        guard let index = index(of: session) else { return }
        let lost = sessions.remove(at: index)
        for number in unsent { statements[number]?.tries -= 1 }
        let unsent = Set(unsent)
        for number in lost.inFlight.reversed() {
            guard let statement = statements[number] else { continue }
            if statement.isAbandoned {
                _ = settle(number)
            } else if statement.isIdempotent || unsent.contains(number), statement.tries < 2, statement.deadline > now {
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
        while let number = nextWaiting(), let index = fullestWithRoom(at: now) {
            waiting.removeFirst()
            waitingCount -= 1
            let session = sessions[index].number
            statements[number]?.tries += 1
            statements[number]?.session = session
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

    /// The one with most in flight that has room, so that the others can drain and go home.
    private func fullestWithRoom(at now: MonotonicTime) -> Int? {
        var best: (index: Int, count: Int)?
        for index in sessions.indices where !sessions[index].isClosing && now < sessions[index].retiresAt {
            let count = sessions[index].inFlight.count
            if count < depth, count > best?.count ?? -1 { best = (index, count) }
        }
        return best?.index
    }

    // MARK: Time

    /// When ``tick(at:)`` is to be called at the latest.
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
            statements[number]?.timer = nil
            _ = settle(number)
            if !statement.isAbandoned { actions.append(.fail(number, .timeout(wasSent: statement.tries > 0))) }
            // Its answer is the next one to come, and has not come in time. Behind it nothing comes either.
            if let session = statement.session, let index = index(of: session),
                sessions[index].inFlight.first == number
            {
                close(index)
            }
        }
        for index in sessions.indices where !sessions[index].isSuspect {
            let waitsSince = sessions[index].waitsSince
            guard waitsSince != .distantFuture, waitsSince.advanced(byNanoseconds: silence) <= now else { continue }
            sessions[index].isSuspect = true
            // Its deadline passed while others were before it, and now that it is its turn nothing comes.
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
