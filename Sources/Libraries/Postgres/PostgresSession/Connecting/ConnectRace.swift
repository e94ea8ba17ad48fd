import DispatchLoop

/// One attempt to connect, as a race of addresses (RFC 8305): events in, actions out. A value without I/O.
///
/// All names are looked up at once. The address that worked last goes first, silent ones go last. The next address
/// starts after the head start of the previous one, or at once when one fails. The first session wins.
///
/// Each socket after the first needs permission. Without it, addresses take turns. An unanswered connect yields after
/// its head start, because it costs the server nothing, and gets twice the time in its next turn. A connect that a
/// server has accepted keeps its turn for its share of the time.
///
/// A frozen server's machine goes on accepting. Where other servers answer, such an address goes last, and is tried once
/// a second for a second; only the oldest connect to it waits on, because its login may be slow and not frozen.
///
/// ```
///   candidate:  waiting ⇄ racing ──▶ over      (failed, or its server has refused, or no longer useful)
///   race:       running ──▶ over               (`win` or `fail` is the last action)
/// ```
struct ConnectRace {
    typealias SocketID = Int

    enum Action: Equatable {
        /// Look up a server's name. Answered with ``ConnectRace/resolved(_:_:at:_:)``.
        case lookUp(server: Int)
        /// Begin to connect. `attributes` replaces `target_session_attrs`, unless `nil`.
        case open(SocketID, ConnectTarget, attributes: String?)
        /// Ask for another socket. Answered with ``ConnectRace/permitted(_:at:_:)``.
        case askForSocket
        /// Close a socket. If a helper thread holds it, ``ConnectRace/released(at:_:)`` reports the end.
        case close(SocketID)
        /// The attempt succeeded with the session on this socket.
        case win(SocketID)
        /// The attempt failed.
        case fail(PostgresError)
    }

    struct Candidate {
        enum Stage { case waiting, racing, over }
        let target: ConnectTarget
        /// Its index among the addresses of its server.
        let order: Int
        /// `prefer-standby` tries all addresses again if none is a standby.
        let isSecondPass: Bool
        var stage = Stage.waiting
        /// The number of turns it has yielded.
        var rounds = 0
    }

    struct OpenSocket {
        let id: SocketID
        let candidate: Int
        let openedAt: MonotonicTime
        var acceptedAt: MonotonicTime?
        /// The server has sent something.
        var hasReply = false
        /// When another may start beside it or, while no server has accepted it, instead of it.
        var dueAt: MonotonicTime
        /// When it must yield its turn after an accept.
        var keepsUntil: MonotonicTime
        /// When a server that has accepted, and sent nothing, is mute.
        var fullTurnEnd: MonotonicTime
    }

    /// The shortest turn, for any number of addresses.
    static let shortestTurn = Duration.milliseconds(20)
    /// The shortest turn of a server that has accepted.
    static let establishedTurn = Duration.seconds(1)

    let servers: [ConnectionConfiguration.Server]
    let prefersStandby: Bool
    let isShuffled: Bool
    let limits: ConnectLimits

    /// Actions in order; the shell performs and removes them.
    var actions: [Action] = []
    /// Sockets that a helper thread holds, and since when: they cannot be closed at once.
    private var computing: [SocketID: (kind: OffLoopPoll.Kind, since: MonotonicTime)] = [:]
    /// Sockets whose close waits for a helper thread.
    private(set) var closingCount = 0
    /// When to call ``tick(at:_:)``.
    private(set) var wakeAt = MonotonicTime.distantFuture
    private(set) var isOver = false
    /// The error to report if no address succeeds.
    var failure: PostgresError?

    var candidates: [Candidate] = []
    var openSockets: [OpenSocket] = []
    /// Servers whose name look-up is in flight.
    private(set) var pending: Set<Int> = []
    /// Each server's position in the order of tries.
    private(set) var positions: [Int] = []
    private(set) var preferred: ConnectTarget?
    private(set) var startedAt = MonotonicTime(nanoseconds: 0)
    private var nextID = 0
    /// Maximum open sockets.
    private var allowed = 1
    private var isAsking = false
    private var askAgainAt = MonotonicTime(nanoseconds: .min)
    /// A socket has failed, so the next starts without delay.
    private(set) var startsAtOnce = false

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

    /// Whether a server has accepted an open socket.
    var isReached: Bool { openSockets.contains { $0.acceptedAt != nil } }

    /// When a helper thread began to hold a socket; `nil` while none does.
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

    /// A name look-up ended.
    mutating func resolved(
        _ server: Int, _ resolution: HostResolver.Resolution, at now: MonotonicTime, _ book: inout AddressBook
    ) {
        guard !isOver, pending.remove(server) != nil else { return }
        switch resolution {
        case .success(let addresses):
            var targets = addresses.map { ConnectTarget(server: server, address: $0) }
            if isShuffled { targets.shuffle(using: &book.random) } else { targets = Self.interleaved(targets) }
            add(targets)
        case .failure(let error):
            keepMostTelling(error, server: server)
        }
        advance(at: now, &book)
    }

    /// A socket's TCP handshake is done.
    mutating func accepted(_ id: SocketID, at now: MonotonicTime, _ book: inout AddressBook) {
        guard let index = openSockets.firstIndex(where: { $0.id == id }), openSockets[index].acceptedAt == nil else {
            return
        }
        openSockets[index].acceptedAt = now
        book.accepted(target(of: openSockets[index]), openedAt: openSockets[index].openedAt, at: now)
        progressed(index, at: now, book)
        advance(at: now, &book)
    }

    /// The server sent something other than an error.
    mutating func replied(_ id: SocketID, at now: MonotonicTime, _ book: inout AddressBook) {
        guard let index = openSockets.firstIndex(where: { $0.id == id }) else { return }
        openSockets[index].hasReply = true
        book.answered(target(of: openSockets[index]), openedAt: openSockets[index].openedAt)
        progressed(index, at: now, book)
        advance(at: now, &book)
    }

    /// A socket failed and is closed.
    mutating func failed(_ id: SocketID, _ error: PostgresError, at now: MonotonicTime, _ book: inout AddressBook) {
        guard let index = openSockets.firstIndex(where: { $0.id == id }) else { return }
        let socket = openSockets.remove(at: index)
        let candidate = candidates[socket.candidate]
        candidates[socket.candidate].stage = .over
        if socket.acceptedAt == nil {
            let noAnswer = [PostgresError.Code.timedOut, PostgresError.Code.hostUnreachable].contains(error.code)
            book.connectEnded(candidate.target, openedAt: socket.openedAt, isSilent: noAnswer)
        } else {
            book.answered(candidate.target, openedAt: socket.openedAt)
        }
        startsAtOnce = true
        if error.disposition == .wrongRole { book.foundWrongRole(candidate.target) }
        if error.disposition == .wrongRole, prefersStandby, !candidate.isSecondPass {
            // Not a failure yet: a primary is acceptable if no server is a standby.
            candidates.append(Candidate(target: candidate.target, order: candidate.order, isSecondPass: true))
        } else {
            keepMostTelling(error, server: candidate.target.server)
        }
        // The server's other addresses would give the same error and demand the same keys.
        if error.severity != nil || error.code == PostgresError.Code.loginKeys {
            drop(server: candidate.target.server, at: now, &book)
        }
        advance(at: now, &book)
    }

    /// A session is established.
    mutating func succeeded(_ id: SocketID, at now: MonotonicTime, _ book: inout AddressBook) {
        guard !isOver, let index = openSockets.firstIndex(where: { $0.id == id }) else { return }
        let winner = openSockets.remove(at: index)
        let candidate = candidates[winner.candidate]
        book.answered(candidate.target, openedAt: winner.openedAt)
        book.loggedIn(
            candidate.target, acceptedAt: winner.acceptedAt ?? now,
            isPreferredRole: !prefersStandby || !candidate.isSecondPass, at: now)
        for socket in openSockets { close(socket, at: now, &book) }
        finish(.win(id))
    }

    /// The answer to ``Action/askForSocket``.
    mutating func permitted(_ isPermitted: Bool, at now: MonotonicTime, _ book: inout AddressBook) {
        guard isAsking else { return }
        isAsking = false
        if isPermitted { allowed += 1 } else { askAgainAt = now + limits.stagger }
        advance(at: now, &book)
    }

    /// A helper thread holds a socket, or (with `nil`) has returned it.
    mutating func computes(_ id: SocketID, _ kind: OffLoopPoll.Kind?, at now: MonotonicTime) {
        computing[id] = kind.map { ($0, now) }
    }

    /// The local work that has delayed the attempt for longer than the helpers' queue limit.
    func hindrance(at now: MonotonicTime) -> PostgresError? {
        guard let oldest = computing.values.min(by: { $0.since < $1.since }),
            now - oldest.since >= LoginHelpers.defaultQueueTimeout
        else { return nil }
        return .slowLogin(oldest.kind)
    }

    /// A helper thread has closed a socket.
    mutating func released(at now: MonotonicTime, _ book: inout AddressBook) {
        closingCount -= 1
        advance(at: now, &book)
    }

    /// Time has passed.
    mutating func tick(at now: MonotonicTime, _ book: inout AddressBook) { advance(at: now, &book) }

    /// The caller abandons the attempt.
    mutating func abandon(at now: MonotonicTime, _ book: inout AddressBook) {
        guard !isOver else { return }
        for socket in openSockets { close(socket, at: now, &book) }
        isOver = true
        openSockets = []
        wakeAt = .distantFuture
    }

    // MARK: Decisions

    private mutating func advance(at now: MonotonicTime, _ book: inout AddressBook) {
        if isOver { return }
        expire(at: now, &book)
        noteMute(at: now, &book)
        while now < limits.reachDeadline, !isAsking, let next = choose(at: now, book) {
            if openSockets.isEmpty ? isHeldUp(next, at: now) : now < dueAt(of: candidates[next], book) { break }
            if openSockets.count + closingCount < allowed {
                open(next, at: now, &book)
            } else if now >= askAgainAt {
                isAsking = true
                actions.append(.askForSocket)
            } else if !yieldTurn(at: now, &book) {
                break
            }
        }
        if isHopeless(at: now, book) {
            for socket in openSockets { close(socket, at: now, &book) }
            openSockets = []
        }
        allowed = max(1, openSockets.count + closingCount)
        if openSockets.isEmpty, now >= limits.reachDeadline || pending.isEmpty && choose(at: now, book) == nil {
            finish(.fail(failure ?? timeout(server: candidates.first?.target.server ?? 0)))
        } else {
            wakeAt = nextWake(after: now)
        }
    }

    private func nextWake(after now: MonotonicTime) -> MonotonicTime {
        var times = openSockets.compactMap { $0.acceptedAt.map { $0 + limits.loginTimeout } }
        times.append(limits.deadline)
        if now < limits.reachDeadline {
            times.append(limits.reachDeadline)
            if hasBeenAnswered { times += openSockets.map { $0.openedAt + AddressBook.synLife } }
            if candidates.count > 1 {
                let accepted = openSockets.filter { $0.acceptedAt != nil }
                times += accepted.map(\.fullTurnEnd)
                // Another attempt may find that a server is mute.
                if hasBeenAnswered, accepted.contains(where: { !$0.hasReply }) { times.append(now + limits.stagger) }
            }
            if candidates.contains(where: { $0.stage == .waiting }) {
                times += openSockets.flatMap { [$0.dueAt, $0.keepsUntil] } + [askAgainAt, startedAt + limits.stagger]
                // Other attempts may change the book.
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
        let due = now + attemptDelay(for: candidate, at: now, book)
        openSockets.append(
            OpenSocket(id: nextID, candidate: index, openedAt: now, dueAt: due, keepsUntil: due, fullTurnEnd: due))
        book.opened(candidate.target, at: now)
        let attributes = candidate.isSecondPass ? "any" : prefersStandby ? "standby" : nil
        actions.append(.open(nextID, candidate.target, attributes: attributes))
    }

    /// Closes a socket whose turn is over, to make room for the next; `false` if there is none.
    private mutating func yieldTurn(at now: MonotonicTime, _ book: inout AddressBook) -> Bool {
        let isUnanswered = { (socket: OpenSocket) in socket.acceptedAt == nil && socket.dueAt <= now }
        let isOverdue = { (socket: OpenSocket) in socket.acceptedAt != nil && socket.keepsUntil <= now }
        guard let index = openSockets.firstIndex(where: isUnanswered) ?? openSockets.firstIndex(where: isOverdue) else {
            return false
        }
        let socket = openSockets.remove(at: index)
        close(socket, at: now, &book)
        candidates[socket.candidate].stage = .waiting
        candidates[socket.candidate].rounds += 1
        startsAtOnce = true
        return true
    }

    private mutating func expire(at now: MonotonicTime, _ book: inout AddressBook) {
        var kept: [OpenSocket] = []
        for socket in openSockets {
            let end = socket.acceptedAt.map { min($0 + limits.loginTimeout, limits.deadline) } ?? limits.reachDeadline
            if now < end {
                kept.append(socket)
                continue
            }
            let server = target(of: socket).server
            keepMostTelling(computing[socket.id].map { .slowLogin($0.kind) } ?? timeout(server: server), server: server)
            candidates[socket.candidate].stage = .over
            close(socket, at: now, &book)
        }
        openSockets = kept
    }

    private mutating func drop(server: Int, at now: MonotonicTime, _ book: inout AddressBook) {
        let concerned = openSockets.filter { target(of: $0).server == server }
        openSockets = openSockets.filter { target(of: $0).server != server }
        for socket in concerned { close(socket, at: now, &book) }
        for index in candidates.indices where candidates[index].target.server == server {
            candidates[index].stage = .over
        }
    }

    private mutating func close(_ socket: OpenSocket, at now: MonotonicTime, _ book: inout AddressBook) {
        if socket.acceptedAt == nil {
            book.connectEnded(target(of: socket), openedAt: socket.openedAt, isSilent: now >= socket.dueAt ? true : nil)
        } else {
            book.endedUnanswered(target(of: socket), openedAt: socket.openedAt)
            if now >= socket.keepsUntil { book.fellSilent(target(of: socket)) }
        }
        if computing.removeValue(forKey: socket.id) != nil { closingCount += 1 }
        actions.append(.close(socket.id))
    }

    private mutating func finish(_ action: Action) {
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
        let turn = turn(of: openSockets[index], at: now, book)
        openSockets[index].dueAt = turn.dueAt
        openSockets[index].keepsUntil = turn.keepsUntil
        openSockets[index].fullTurnEnd = turn.fullEnd
    }

    func target(of socket: OpenSocket) -> ConnectTarget { candidates[socket.candidate].target }
}
