import DispatchLoop

/// One attempt to connect as a race of addresses (RFC 8305): servers in, events in, actions out. A value without I/O.
///
/// All names are looked up at once. The address that worked last goes first, those that were silent go last. The next
/// one is started when the one before has had its start, or at once when one fails. Who lets us in first wins.
///
/// Sockets side by side need permission, one for each beside the first. Without it, addresses take turns: a connect that
/// nobody has answered gives way when it has had its start, for it costs the server nothing, and comes round again with
/// twice the patience; one that a server has accepted keeps its turn for its share of the time.
///
/// ```
///   candidate:  waiting ⇄ racing ──▶ over      (failed, spoken for by its server, or of no use any more)
///   race:       running ──▶ over               (`win` or `fail` is the last action)
/// ```
struct ConnectRace {
    typealias SocketID = Int

    enum Action: Equatable {
        /// Look up the name of a server; ``ConnectRace/resolved(_:_:at:_:)`` has the answer.
        case lookUp(server: Int)
        /// Begin to connect. `attributes`: what to pass as `target_session_attrs`; `nil` for what is configured.
        case open(SocketID, ConnectTarget, attributes: String?)
        /// Ask for one socket more; answered with ``ConnectRace/permitted(_:at:_:)``.
        case askForSocket
        /// Close a socket; if another thread works on it, ``ConnectRace/released(at:_:)`` says when that is done.
        case close(SocketID)
        /// The session on this socket is the attempt's.
        case win(SocketID)
        /// There is none.
        case fail(PostgresError)
    }

    struct Candidate {
        enum Stage { case waiting, racing, over }
        let target: ConnectTarget
        /// Its place among the addresses of its server.
        let order: Int
        /// `prefer-standby` tries all once more when no standby was found.
        let isSecondPass: Bool
        var stage = Stage.waiting
        /// How often it has given way.
        var rounds = 0
    }

    struct OpenSocket {
        let id: SocketID
        let candidate: Int
        let openedAt: MonotonicTime
        var acceptedAt: MonotonicTime?
        /// When another may be started beside it or, as long as no server has accepted it, in its place.
        var dueAt: MonotonicTime
        /// Until when it keeps its turn once a server has accepted it.
        var keepsUntil: MonotonicTime
    }

    /// The shortest turn, however many addresses there are.
    static let shortestTurn = Duration.milliseconds(20)
    /// What a server that has accepted gets at least before its turn goes to another.
    static let establishedTurn = Duration.seconds(1)

    let servers: [ConnectionConfiguration.Server]
    let prefersStandby: Bool
    let isShuffled: Bool
    let limits: ConnectLimits

    /// What is to be done, in order; the shell performs and removes it.
    var actions: [Action] = []
    /// Sockets that another thread works on, and since when: they cannot be closed at once.
    private var computing: [SocketID: (kind: OffLoopPoll.Kind, since: MonotonicTime)] = [:]
    /// Sockets that were closed and are still open, because another thread works on them.
    private(set) var lingering = 0
    /// When ``tick(at:_:)`` has something to do.
    private(set) var wakeAt = MonotonicTime.distantFuture
    private(set) var isOver = false
    /// What is to be told if nobody lets us in.
    var failure: PostgresError?

    var candidates: [Candidate] = []
    var openSockets: [OpenSocket] = []
    /// The servers whose names are being looked up.
    private(set) var pending: Set<Int> = []
    /// The places of the servers in the order in which they are tried.
    private(set) var positions: [Int] = []
    private(set) var preferred: ConnectTarget?
    private(set) var startedAt = MonotonicTime(nanoseconds: 0)
    private var nextID = 0
    /// How many sockets may be open at a time.
    private var allowed = 1
    private var isAsking = false
    private var askAgainAt = MonotonicTime(nanoseconds: .min)
    /// One has failed: the next does not wait.
    private var startsAtOnce = false

    init(
        servers: [ConnectionConfiguration.Server], prefersStandby: Bool = false, isShuffled: Bool = false,
        limits: ConnectLimits
    ) {
        self.servers = servers
        self.prefersStandby = prefersStandby
        self.isShuffled = isShuffled
        var limits = limits
        limits.reachDeadline = min(limits.reachDeadline, limits.deadline)
        self.limits = limits
    }

    /// Whether a server has accepted one of the sockets that are open.
    var isReached: Bool { openSockets.contains { $0.acceptedAt != nil } }

    /// Since when another thread has worked on one of them; `nil` while none does.
    var computingSince: MonotonicTime? { computing.values.map(\.since).min() }

    // MARK: Events

    mutating func start(at now: MonotonicTime, _ book: inout AddressBook) {
        startedAt = now
        preferred = isShuffled ? nil : book.winner
        var order = Array(servers.indices)
        if isShuffled { order.shuffle(using: &book.random) }
        positions = order.indices.map { place in order.firstIndex(of: place) ?? place }
        for index in order {
            let server = servers[index]
            if server.isUnixSocket {
                add([ConnectTarget(server: index, address: nil)])
            } else if !server.address.isEmpty || HostResolver.isNumeric(server.host) {
                add([ConnectTarget(server: index, address: server.address.isEmpty ? server.host : server.address)])
            } else {
                pending.insert(index)
                actions.append(.lookUp(server: index))
            }
        }
        advance(at: now, &book)
    }

    /// The name of a server was looked up.
    mutating func resolved(
        _ server: Int, _ answer: Result<[String], PostgresError>, at now: MonotonicTime, _ book: inout AddressBook
    ) {
        guard !isOver, pending.remove(server) != nil else { return }
        switch answer {
        case .success(let addresses):
            var targets = addresses.map { ConnectTarget(server: server, address: $0) }
            if isShuffled { targets.shuffle(using: &book.random) } else { targets = Self.interleaved(targets) }
            add(targets)
        case .failure(let error):
            keepMostTelling(error, server: server)
        }
        advance(at: now, &book)
    }

    /// The TCP handshake of a socket is done.
    mutating func accepted(_ id: SocketID, at now: MonotonicTime, _ book: inout AddressBook) {
        guard let index = openSockets.firstIndex(where: { $0.id == id }), openSockets[index].acceptedAt == nil else {
            return
        }
        openSockets[index].acceptedAt = now
        book.accepted(target(of: openSockets[index]), openedAt: openSockets[index].openedAt, at: now)
        progressed(index, at: now, book)
        advance(at: now, &book)
    }

    /// The server has said something, and it was no refusal.
    mutating func heard(_ id: SocketID, at now: MonotonicTime, _ book: inout AddressBook) {
        guard let index = openSockets.firstIndex(where: { $0.id == id }) else { return }
        progressed(index, at: now, book)
        advance(at: now, &book)
    }

    /// A socket has failed and is closed.
    mutating func failed(_ id: SocketID, _ error: PostgresError, at now: MonotonicTime, _ book: inout AddressBook) {
        guard let index = openSockets.firstIndex(where: { $0.id == id }) else { return }
        let flight = openSockets.remove(at: index)
        let candidate = candidates[flight.candidate]
        candidates[flight.candidate].stage = .over
        if flight.acceptedAt == nil {
            let noAnswer = [PostgresError.Code.timedOut, PostgresError.Code.hostUnreachable].contains(error.code)
            book.ended(candidate.target, openedAt: flight.openedAt, isSilent: noAnswer)
        }
        startsAtOnce = true
        if error.disposition == .wrongRole { book.foundWrongRole(candidate.target) }
        if error.disposition == .wrongRole, prefersStandby, !candidate.isSecondPass {
            // Nothing to complain of yet: a primary will do where there is no standby.
            candidates.append(Candidate(target: candidate.target, order: candidate.order, isSecondPass: true))
        } else {
            keepMostTelling(error, server: candidate.target.server)
        }
        // A server that has spoken says the same on its other addresses, and the keys are as dear there.
        if error.severity != nil || error.code == PostgresError.Code.loginKeys {
            giveUp(server: candidate.target.server, at: now, &book)
        }
        advance(at: now, &book)
    }

    /// A session stands.
    mutating func succeeded(_ id: SocketID, at now: MonotonicTime, _ book: inout AddressBook) {
        guard !isOver, let index = openSockets.firstIndex(where: { $0.id == id }) else { return }
        let winner = openSockets.remove(at: index)
        let candidate = candidates[winner.candidate]
        book.letIn(
            candidate.target, acceptedAt: winner.acceptedAt ?? now,
            isPreferredRole: !prefersStandby || !candidate.isSecondPass, at: now)
        for flight in openSockets { close(flight, at: now, &book) }
        over(.win(id))
    }

    /// The answer to ``Action/askForSocket``.
    mutating func permitted(_ isPermitted: Bool, at now: MonotonicTime, _ book: inout AddressBook) {
        guard isAsking else { return }
        isAsking = false
        if isPermitted { allowed += 1 } else { askAgainAt = now + limits.stagger }
        advance(at: now, &book)
    }

    /// Another thread works on a socket, or (with `nil`) has done so.
    mutating func computes(_ id: SocketID, _ kind: OffLoopPoll.Kind?, at now: MonotonicTime) {
        computing[id] = kind.map { ($0, now) }
    }

    /// What has held the attempt up for so long that it is worth telling, before it has failed.
    func hindrance(at now: MonotonicTime) -> PostgresError? {
        guard let oldest = computing.values.min(by: { $0.since < $1.since }),
            now - oldest.since >= LoginHelpers.standardPatience
        else { return nil }
        return .slowLogin(oldest.kind)
    }

    /// A socket that was closed while another thread worked on it is closed by now.
    mutating func released(at now: MonotonicTime, _ book: inout AddressBook) {
        lingering -= 1
        advance(at: now, &book)
    }

    /// Time has passed.
    mutating func tick(at now: MonotonicTime, _ book: inout AddressBook) { advance(at: now, &book) }

    /// The caller has given the attempt up.
    mutating func abandon(at now: MonotonicTime, _ book: inout AddressBook) {
        guard !isOver else { return }
        for flight in openSockets { close(flight, at: now, &book) }
        isOver = true
        openSockets = []
        wakeAt = .distantFuture
    }

    // MARK: What follows

    private mutating func advance(at now: MonotonicTime, _ book: inout AddressBook) {
        if isOver { return }
        expire(at: now, &book)
        while now < limits.reachDeadline, !isAsking, let next = choose(at: now, book) {
            if openSockets.isEmpty ? isHeldUp(next, at: now) : !startsAtOnce && now < dueAt { break }
            if openSockets.count + lingering < allowed {
                open(next, at: now, &book)
            } else if now >= askAgainAt {
                isAsking = true
                actions.append(.askForSocket)
            } else if !giveWay(at: now, &book) {
                break
            }
        }
        if isInVain(at: now, book) {
            for flight in openSockets { close(flight, at: now, &book) }
            openSockets = []
        }
        allowed = max(1, openSockets.count + lingering)
        if openSockets.isEmpty, now >= limits.reachDeadline || pending.isEmpty && choose(at: now, book) == nil {
            over(.fail(failure ?? timeout(server: candidates.first?.target.server ?? 0)))
        } else {
            wakeAt = nextWake(after: now)
        }
    }

    /// From the latest start on, the next one has to wait.
    var dueAt: MonotonicTime { openSockets.map(\.dueAt).max() ?? startedAt }

    private func nextWake(after now: MonotonicTime) -> MonotonicTime {
        var times = openSockets.compactMap { $0.acceptedAt.map { $0 + limits.loginTimeout } }
        times.append(limits.deadline)
        if now < limits.reachDeadline {
            times.append(limits.reachDeadline)
            if hasBeenAnswered { times += openSockets.map { $0.openedAt + AddressBook.synLife } }
            if candidates.contains(where: { $0.stage == .waiting }) {
                times += openSockets.flatMap { [$0.dueAt, $0.keepsUntil] } + [askAgainAt, startedAt + limits.stagger]
                // For what depends on other attempts.
                times.append(now + limits.stagger)
            }
        }
        return times.filter { $0 > now }.min() ?? now
    }

    private mutating func open(_ index: Int, at now: MonotonicTime, _ book: inout AddressBook) {
        nextID += 1
        startsAtOnce = false
        candidates[index].stage = .racing
        let candidate = candidates[index]
        let due = now + patience(with: candidate, at: now, book)
        openSockets.append(OpenSocket(id: nextID, candidate: index, openedAt: now, dueAt: due, keepsUntil: due))
        book.opened(candidate.target, at: now)
        let attributes = candidate.isSecondPass ? "any" : prefersStandby ? "standby" : nil
        actions.append(.open(nextID, candidate.target, attributes: attributes))
    }

    /// Makes room for the next: `false` when nobody's turn is over.
    private mutating func giveWay(at now: MonotonicTime, _ book: inout AddressBook) -> Bool {
        let isUnanswered = { (flight: OpenSocket) in flight.acceptedAt == nil && flight.dueAt <= now }
        let isOverdue = { (flight: OpenSocket) in flight.acceptedAt != nil && flight.keepsUntil <= now }
        guard let index = openSockets.firstIndex(where: isUnanswered) ?? openSockets.firstIndex(where: isOverdue) else {
            return false
        }
        let flight = openSockets.remove(at: index)
        close(flight, at: now, &book)
        candidates[flight.candidate].stage = .waiting
        candidates[flight.candidate].rounds += 1
        startsAtOnce = true
        return true
    }

    private mutating func expire(at now: MonotonicTime, _ book: inout AddressBook) {
        var kept: [OpenSocket] = []
        for flight in openSockets {
            let end = flight.acceptedAt.map { min($0 + limits.loginTimeout, limits.deadline) } ?? limits.reachDeadline
            if now < end {
                kept.append(flight)
                continue
            }
            let server = target(of: flight).server
            keepMostTelling(computing[flight.id].map { .slowLogin($0.kind) } ?? timeout(server: server), server: server)
            candidates[flight.candidate].stage = .over
            close(flight, at: now, &book)
        }
        openSockets = kept
    }

    private mutating func giveUp(server: Int, at now: MonotonicTime, _ book: inout AddressBook) {
        let concerned = openSockets.filter { target(of: $0).server == server }
        openSockets = openSockets.filter { target(of: $0).server != server }
        for flight in concerned { close(flight, at: now, &book) }
        for index in candidates.indices where candidates[index].target.server == server {
            candidates[index].stage = .over
        }
    }

    private mutating func close(_ flight: OpenSocket, at now: MonotonicTime, _ book: inout AddressBook) {
        if flight.acceptedAt == nil {
            book.ended(target(of: flight), openedAt: flight.openedAt, isSilent: now >= flight.dueAt ? true : nil)
        } else if now >= flight.keepsUntil {
            book.fellSilent(target(of: flight))
        }
        if computing.removeValue(forKey: flight.id) != nil { lingering += 1 }
        actions.append(.close(flight.id))
    }

    private mutating func over(_ action: Action) {
        isOver = true
        openSockets = []
        wakeAt = .distantFuture
        actions.append(action)
    }

    private mutating func add(_ targets: [ConnectTarget]) {
        for (order, target) in targets.enumerated() {
            candidates.append(Candidate(target: target, order: order, isSecondPass: false))
        }
    }

    private mutating func progressed(_ index: Int, at now: MonotonicTime, _ book: AddressBook) {
        (openSockets[index].dueAt, openSockets[index].keepsUntil) = turn(of: openSockets[index], at: now, book)
    }

    func target(of flight: OpenSocket) -> ConnectTarget { candidates[flight.candidate].target }
}
