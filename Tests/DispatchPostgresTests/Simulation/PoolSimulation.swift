import DispatchLoop
import PostgresSession

@testable import DispatchPostgres

/// The machine, a simulated shell and server, and clients that query in a loop. A simulated minute takes a few
/// milliseconds.
struct PoolSimulation {
    struct Client {
        var begins = MonotonicTime(nanoseconds: 0)
        /// The connections that run its query; the second one is the hedge.
        var first, second: ConnectionID?
        var waiter: WaiterID?
        /// Counts the client's requests, so that an event of an earlier one is recognised.
        var turn = 0
    }

    enum Event {
        case ask(client: Int)
        case deadline(client: Int, turn: Int)
        case silent(ConnectionID, client: Int, turn: Int)
        case answer(ConnectionID, sentAt: MonotonicTime, serial: Int)
        case accepted(ConnectionID)
        case spoke(ConnectionID)
        case connected(ConnectionID)
        case connectFailed(ConnectionID, PostgresError)
        case checkLook(ConnectionID, serial: Int)
        case checkEnds(ConnectionID, serial: Int)
        case cancelled(ConnectionID, serial: Int)
        case gone(ConnectionID)
        case sessionsEnd
        case tick
    }

    static let deadline = Duration.seconds(1)
    static let think = Duration.milliseconds(50)

    var machine: PoolMachine
    var server: ModelServer
    var now = MonotonicTime(nanoseconds: 1_000_000_000)
    private var events = EventHeap<Event>()
    private var order = 0
    private var clients: [Client]
    private var clientOf: [ConnectionID: Int] = [:]
    private var waiterOf: [WaiterID: (client: Int, turn: Int, isHedge: Bool)] = [:]
    /// The statement on each connection, and the time until which its bytes are unacknowledged.
    private var running: [ConnectionID: (serial: Int, lostUntil: MonotonicTime, isLocked: Bool)] = [:]
    private var serial = 0
    private var loginEnds: [ConnectionID: MonotonicTime] = [:]
    private var open: Set<ConnectionID> = []
    private var nextTick = MonotonicTime.distantFuture

    /// The pool's sessions and logins at the server, including those whose end the server has not noticed.
    private(set) var atServer: Set<ConnectionID> = []
    private(set) var mostAtServer = 0
    private(set) var connects: [MonotonicTime] = []
    private(set) var good: [MonotonicTime] = []
    private(set) var failures: [(at: MonotonicTime, code: String)] = []
    private(set) var hedges = 0
    private(set) var queries = 0
    private(set) var closeReasons: [SessionCloseReason] = []
    private(set) var healthChanges: [(at: MonotonicTime, to: DatabaseState)] = []

    init(server: ModelServer, clients count: Int, seed: UInt64, _ change: (inout PoolSettings) -> Void = { _ in }) {
        var settings = PoolSettings()
        settings.maximumLifetime = nil
        change(&settings)
        self.server = server
        machine = PoolMachine(settings: settings, seed: seed)
        clients = Array(repeating: Client(), count: count)
    }

    // MARK: Running

    mutating func run(for duration: Duration) {
        let end = now + duration
        machine.start(at: now)
        perform()
        for client in clients.indices { schedule(.ask(client: client), at: now + .milliseconds(client)) }
        for phase in server.phases.dropFirst() where phase.door == .refusing || phase.resets {
            schedule(.sessionsEnd, at: phase.begins)
        }
        while let next = pop(until: end) {
            now = max(now, next.time)
            handle(next.event)
            perform()
        }
        now = end
    }

    private mutating func schedule(_ event: Event, at time: MonotonicTime) {
        guard time != .distantFuture else { return }
        order += 1
        events.push((time, order, event))
    }

    private mutating func pop(until end: MonotonicTime) -> (time: MonotonicTime, order: Int, event: Event)? {
        let deadline = machine.nextDeadline()
        if let first = events.first, first.time <= min(deadline, end) { return events.pop() }
        return deadline <= end ? (deadline, 0, .tick) : nil
    }

    private mutating func handle(_ event: Event) {
        switch event {
        case .tick: machine.tick(at: now)
        case .ask(let client): ask(client)
        case .deadline(let client, let turn) where clients[client].turn == turn: expire(client)
        case .silent(let id, let client, let turn) where clients[client].turn == turn && running[id] != nil:
            let isFirst = clients[client].first == id
            machine.silent(
                id, canBeAbandoned: isFirst, answerBy: clients[client].begins + Self.deadline, path: path(of: id),
                at: now)
        case .answer(let id, let sentAt, let serial) where running[id]?.serial == serial: answered(id, sentAt)
        case .accepted(let id) where open.contains(id):
            // A stuck server has not accepted the connection yet.
            if server.phase(at: now).door == .open { arrive(id) }
            machine.progressed(id, isAnswer: false, at: now)
        case .spoke(let id) where open.contains(id):
            arrive(id)
            machine.progressed(id, isAnswer: true, at: now)
        case .connected(let id) where open.contains(id):
            let took = now.nanoseconds - (machine.slots.slot(id)?.since ?? now).nanoseconds
            machine.connected(id, hasWrongRole: false, took: took, at: now)
        case .connectFailed(let id, let error) where open.contains(id):
            open.remove(id)
            atServer.remove(id)
            machine.connectFailed(id, error, at: now)
        case .checkLook(let id, let serial) where running[id]?.serial == serial && path(of: id) == .lost: endCheck(id)
        case .checkEnds(let id, let serial) where running[id]?.serial == serial: endCheck(id)
        case .cancelled(let id, let serial) where running[id]?.serial == serial:
            running[id] = nil
            machine.wasReset(id, at: now)
        case .gone(let id): atServer.remove(id)
        case .sessionsEnd:
            for id in open.sorted(by: { $0.index < $1.index }) { end(id) }
        default: break
        }
    }

    private func path(of id: ConnectionID) -> PostgresConnection.Path {
        guard let state = running[id] else { return .acknowledged }
        return state.lostUntil > now ? .lost : .acknowledged
    }

    // MARK: Clients

    private mutating func ask(_ client: Int) {
        clients[client].begins = now
        clients[client].turn += 1
        schedule(.deadline(client: client, turn: clients[client].turn), at: now + Self.deadline)
        request(client, isHedge: false)
    }

    private mutating func request(_ client: Int, isHedge: Bool) {
        switch machine.checkOut(deadline: clients[client].begins + Self.deadline, at: now) {
        case .lease(let id): run(client, on: id, isHedge: isHedge)
        case .wait(let waiter):
            clients[client].waiter = waiter
            waiterOf[waiter] = (client, clients[client].turn, isHedge)
        case .fail(let error): if !isHedge { finish(client, error.code) }
        }
    }

    private mutating func run(_ client: Int, on id: ConnectionID, isHedge: Bool) {
        if isHedge { clients[client].second = id } else { clients[client].first = id }
        clientOf[id] = client
        queries += isHedge ? 0 : 1
        send(on: id, canBeLocked: true)
        schedule(
            .silent(id, client: client, turn: clients[client].turn),
            at: now.advanced(byNanoseconds: machine.silenceLimit))
    }

    private mutating func send(on id: ConnectionID, canBeLocked: Bool) {
        serial += 1
        let isLocked = canBeLocked && server.phase(at: now).isLocked
        let (at, wasLost) = server.answer(to: now)
        let isUnreachable = server.phase(at: now).door == .unreachable
        running[id] = (serial, wasLost || isUnreachable ? at : now, isLocked)
        if !isLocked { schedule(.answer(id, sentAt: now, serial: serial), at: at) }
    }

    private mutating func answered(_ id: ConnectionID, _ sentAt: MonotonicTime) {
        running[id] = nil
        let took = now.nanoseconds - sentAt.nanoseconds
        switch machine.slots.state(id) {
        case .checking: machine.checked(id, took: took, at: now)
        case .resetting: machine.wasReset(id, at: now)
        case .leased:
            guard let client = clientOf.removeValue(forKey: id) else { return }
            machine.recordReply(id, took: took, at: now)
            perform()
            let other = clients[client].first == id ? clients[client].second : clients[client].first
            machine.release(id, needsReset: false, at: now)
            finish(client, nil, giving: other)
        default: break
        }
    }

    /// Ends the client's request, with a code if it failed, and gives back `other`, which still runs for it.
    private mutating func finish(_ client: Int, _ code: String?, giving other: ConnectionID? = nil) {
        if let code { failures.append((now, code)) } else { good.append(now) }
        if let waiter = clients[client].waiter {
            waiterOf[waiter] = nil
            _ = machine.giveUp(waiter)
        }
        if let other { giveBack(other, isOverdue: false) }
        clients[client].first = nil
        clients[client].second = nil
        clients[client].waiter = nil
        clients[client].turn += 1
        schedule(.ask(client: client), at: now + Self.think)
    }

    private mutating func expire(_ client: Int) {
        let running = [clients[client].first, clients[client].second].compactMap { $0 }
        for id in running { giveBack(id, isOverdue: true) }
        finish(client, running.isEmpty ? "SATURATED" : "QUERY_TIMEOUT")
    }

    private mutating func giveBack(_ id: ConnectionID, isOverdue: Bool) {
        guard machine.slots.state(id) == .leased else { return }
        clientOf[id] = nil
        if !isOverdue, path(of: id) == .lost {
            machine.discard(id, .silent, at: now)
        } else {
            machine.release(id, needsReset: true, isOverdue: isOverdue, at: now)
        }
    }

    // MARK: Connections

    private mutating func arrive(_ id: ConnectionID) {
        atServer.insert(id)
        mostAtServer = max(mostAtServer, atServer.count)
    }

    private mutating func endCheck(_ id: ConnectionID) {
        running[id] = nil
        leave(id)
        machine.disconnected(id, .noAnswer, at: now)
    }

    /// The server or the network ends the session.
    private mutating func end(_ id: ConnectionID) {
        let client = clientOf.removeValue(forKey: id)
        running[id] = nil
        leave(id)
        if machine.slots.state(id) == .connecting {
            machine.connectFailed(id, .ended, at: now)
        } else {
            machine.disconnected(id, .ended, at: now)
        }
        perform()
        guard let client else { return }
        if clients[client].first == id { clients[client].first = nil } else { clients[client].second = nil }
        if clients[client].first == nil, clients[client].second == nil { request(client, isHedge: false) }
    }

    /// Closes the pool's socket. The server notices when it next reads its own.
    private mutating func leave(_ id: ConnectionID) {
        open.remove(id)
        let phase = server.phase(at: now)
        switch phase.door {
        // A server process does not read its socket during a login.
        case .open: schedule(.gone(id), at: max(now + phase.latency, loginEnds[id] ?? now))
        case .refusing: atServer.remove(id)
        // A connection that it has not accepted never reaches it; it notices the end of the others once it continues.
        case .stuck, .unreachable: schedule(.gone(id), at: server.end(of: now))
        }
    }

    private mutating func connect(_ id: ConnectionID) {
        connects.append(now)
        open.insert(id)
        let phase = server.phase(at: now)
        switch phase.door {
        case .refusing: schedule(.connectFailed(id, .refused), at: now + .microseconds(200))
        case .unreachable: schedule(.connectFailed(id, .connectTimeout), at: now + machine.settings.connectTimeout)
        case .open where atServer.count + server.foreignSessions >= server.maximumSessions:
            schedule(.connectFailed(id, .tooMany), at: now + phase.latency)
        case .open, .stuck:
            schedule(.accepted(id), at: now + min(phase.latency, Duration.milliseconds(1)))
            var time = now
            for step in 0..<3 {
                time = server.answer(to: time).at
                if time == .distantFuture { return }
                if step < 2 { schedule(.spoke(id), at: time) }
            }
            loginEnds[id] = time + phase.login
            schedule(.connected(id), at: time + phase.login)
        }
    }

    private mutating func perform() {
        while let action = machine.nextAction() {
            switch action {
            case .connect(let id): connect(id)
            case .check(let id):
                send(on: id, canBeLocked: false)
                let patience = max(Duration.seconds(1), Duration.nanoseconds(2 * machine.silenceLimit))
                schedule(.checkLook(id, serial: serial), at: now.advanced(byNanoseconds: machine.checkLimit))
                schedule(.checkEnds(id, serial: serial), at: now + patience)
            case .reset(let id):
                guard let state = running[id] else { continue }
                let reply = server.answer(to: now).at
                schedule(.cancelled(id, serial: state.serial), at: reply)
            case .close(let id, let reason):
                closeReasons.append(reason)
                running[id] = nil
                leave(id)
                machine.closed(id, at: now)
            case .grant(let waiter, let id):
                guard let entry = waiterOf.removeValue(forKey: waiter), clients[entry.client].turn == entry.turn else {
                    machine.release(id, needsReset: false, at: now)
                    continue
                }
                clients[entry.client].waiter = nil
                run(entry.client, on: id, isHedge: entry.isHedge)
            case .fail(let waiter, let error):
                guard let entry = waiterOf.removeValue(forKey: waiter), clients[entry.client].turn == entry.turn else {
                    continue
                }
                clients[entry.client].waiter = nil
                if !entry.isHedge { finish(entry.client, error.code) }
            case .hedge(let id):
                guard let client = clientOf[id], clients[client].first == id else { continue }
                hedges += 1
                request(client, isHedge: true)
            case .report(.healthChanged(_, let health, _, _)): healthChanges.append((now, health))
            case .report: break
            }
        }
    }

    /// The maximum number of connects in any second.
    func busiestSecond(from start: MonotonicTime, to end: MonotonicTime) -> Int {
        let connects = connects.filter { $0 >= start && $0 < end }
        var first = 0
        var most = 0
        for index in connects.indices {
            while connects[index] - connects[first] >= .seconds(1) { first += 1 }
            most = max(most, index - first + 1)
        }
        return most
    }
}

/// Scheduled events, ordered by time, then by the order of scheduling.
struct EventHeap<Event> {
    typealias Entry = (time: MonotonicTime, order: Int, event: Event)
    private var entries: [Entry] = []

    var first: Entry? { entries.first }

    mutating func push(_ entry: Entry) {
        entries.append(entry)
        var index = entries.count - 1
        while index > 0, isBefore(index, (index - 1) / 2) {
            entries.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    mutating func pop() -> Entry? {
        guard let first = entries.first, let last = entries.popLast() else { return nil }
        guard !entries.isEmpty else { return first }
        entries[0] = last
        var index = 0
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < entries.count && isBefore(child, least) {
                least = child
            }
            guard least != index else { return first }
            entries.swapAt(index, least)
            index = least
        }
    }

    private func isBefore(_ left: Int, _ right: Int) -> Bool {
        (entries[left].time, entries[left].order) < (entries[right].time, entries[right].order)
    }
}
