import DispatchLoop
import PostgresSession
import Testing

@testable import DispatchPostgres

/// Replaces the shell: performs the machine's actions on collections, and records them.
struct MachineHarness {
    var machine: PoolMachine
    var now = MonotonicTime(nanoseconds: 1_000_000_000)
    /// Connections with a socket.
    var sockets: Set<ConnectionID> = []
    var connecting: [ConnectionID] = []
    var checking: [ConnectionID] = []
    var resetting: [ConnectionID] = []
    var leased: [ConnectionID] = []
    /// Slots borrowed for additional sockets.
    var borrowed: [ConnectionID] = []
    /// Connections whose queries the machine has allowed to run on a second one as well.
    var hedged: [ConnectionID] = []
    var waiting: [WaiterID] = []
    var granted: [WaiterID: ConnectionID] = [:]
    var failed: [WaiterID: PoolError] = [:]
    var events: [PoolEvent] = []
    var connectTimes: [MonotonicTime] = []
    var closeReasons: [SessionCloseReason] = []

    init(
        seed: UInt64 = 1, target: SessionTarget = .any, servers: Int = 1,
        _ change: (inout PoolSettings) -> Void = { _ in }
    ) {
        var settings = PoolSettings()
        settings.maximum = 4
        settings.maximumLifetime = nil
        settings.keepalive = nil
        change(&settings)
        machine = PoolMachine(settings: settings, target: target, servers: servers, seed: seed)
    }

    var health: DatabaseState { machine.health }

    // MARK: Inputs

    mutating func start() { apply { $0.start(at: $1) } }

    /// A pool that has been up, with one idle connection, long enough for the next probe to start at once.
    mutating func startUp() {
        start()
        succeed()
        advance(Prober.demandSpacing)
    }

    mutating func checkOut(within patience: Duration? = nil) -> PoolMachine.CheckOut {
        let answer = machine.checkOut(deadline: patience.map { now + $0 } ?? .distantFuture, at: now)
        switch answer {
        case .lease(let id): leased.append(id)
        case .wait(let waiter): waiting.append(waiter)
        case .fail: break
        }
        perform()
        return answer
    }

    mutating func lease() -> ConnectionID? {
        if case .lease(let id) = checkOut() { id } else { nil }
    }

    mutating func mustLease() throws -> ConnectionID {
        let id = lease()
        return try #require(id, "expected an idle connection")
    }

    mutating func mustWait(within patience: Duration? = nil) throws -> WaiterID {
        let waiter = wait(within: patience)
        return try #require(waiter, "expected to wait")
    }

    mutating func wait(within patience: Duration? = nil) -> WaiterID? {
        if case .wait(let waiter) = checkOut(within: patience) { waiter } else { nil }
    }

    /// Returns `false` if the waiter was settled already.
    mutating func giveUp(_ waiter: WaiterID) -> Bool {
        let wasWaiting = machine.giveUp(waiter)
        if wasWaiting { waiting.removeAll { $0 == waiter } }
        return wasWaiting
    }

    mutating func release(
        _ id: ConnectionID, needsReset: Bool = false, replied: Bool = true, took: Duration = .milliseconds(1)
    ) {
        leased.removeAll { $0 == id }
        if replied { apply { $0.recordReply(id, took: took.nanoseconds, at: $1) } }
        apply { $0.release(id, needsReset: needsReset, at: $1) }
    }

    /// The query exceeds its deadline; the server may still run it.
    mutating func overdue(_ id: ConnectionID) {
        leased.removeAll { $0 == id }
        apply { $0.release(id, needsReset: true, isOverdue: true, at: $1) }
    }

    /// The oldest running connect succeeds, within a millisecond.
    mutating func succeed(hasWrongRole: Bool = false, took: Duration = .milliseconds(1)) {
        let id = connecting.removeFirst()
        apply { $0.connected(id, hasWrongRole: hasWrongRole, took: took.nanoseconds, at: $1) }
    }

    /// The oldest running connect fails.
    mutating func fail(_ error: PostgresError = .refused, sockets count: Int = 1) {
        let id = connecting.removeFirst()
        sockets.remove(id)
        apply { $0.connectFailed(id, error, sockets: count, at: $1) }
    }

    mutating func passCheck(_ id: ConnectionID, took: Duration = .milliseconds(1)) {
        checking.removeAll { $0 == id }
        apply { $0.checked(id, took: took.nanoseconds, at: $1) }
    }

    mutating func passReset(_ id: ConnectionID) {
        resetting.removeAll { $0 == id }
        apply { $0.wasReset(id, at: $1) }
    }

    mutating func end(_ id: ConnectionID, _ error: PostgresError = .ended) {
        forget(id)
        apply { $0.disconnected(id, error, at: $1) }
    }

    mutating func silence(
        _ id: ConnectionID, canBeAbandoned: Bool = true, answerBy: MonotonicTime = .distantFuture,
        path: PostgresConnection.Path = .acknowledged
    ) {
        apply { $0.silent(id, canBeAbandoned: canBeAbandoned, answerBy: answerBy, path: path, at: $1) }
    }

    /// Borrows a slot for a second socket of a connect race; `false` if none is free.
    mutating func borrow() -> Bool {
        guard let id = machine.borrowSlot(at: now) else { return false }
        borrowed.append(id)
        sockets.insert(id)
        return true
    }

    /// The additional socket is closed.
    mutating func giveBackBorrowed() {
        guard let id = borrowed.popLast() else { return }
        sockets.remove(id)
        apply { $0.returnSlot(id, at: $1) }
    }

    /// A server accepts the connect, or sends something.
    mutating func progress(_ id: ConnectionID) {
        let isAnswer = machine.slots.slot(id)?.acceptedAt != nil
        apply { $0.progressed(id, isAnswer: isAnswer, at: $1) }
    }

    /// Advances the time and ticks at each of the machine's deadlines.
    mutating func advance(_ duration: Duration) {
        let end = now + duration
        var ticks = 0
        var next = machine.nextDeadline()
        while next <= end, ticks < 10_000 {
            now = max(now, next)
            apply { $0.tick(at: $1) }
            next = machine.nextDeadline()
            #expect(next > now, "a tick at its deadline must handle what was due, while \(health)")
            ticks += 1
        }
        #expect(ticks < 10_000, "the machine asks for ticks without end")
        now = end
    }

    mutating func apply(_ input: (inout PoolMachine, MonotonicTime) -> Void) {
        input(&machine, now)
        perform()
    }

    // MARK: Actions

    private mutating func perform() {
        while let action = machine.nextAction() {
            switch action {
            case .connect(let id):
                #expect(sockets.insert(id).inserted)
                connecting.append(id)
                connectTimes.append(now)
            case .check(let id): checking.append(id)
            case .reset(let id): resetting.append(id)
            case .close(let id, let reason):
                #expect(sockets.contains(id), "closes \(id), which has no socket")
                closeReasons.append(reason)
                forget(id)
                machine.closed(id, at: now)
            case .grant(let waiter, let id):
                #expect(waiting.first == waiter, "grants are in FIFO order")
                #expect(granted[waiter] == nil && failed[waiter] == nil, "a waiter is settled once")
                waiting.removeAll { $0 == waiter }
                granted[waiter] = id
                leased.append(id)
            case .fail(let waiter, let error):
                #expect(granted[waiter] == nil && failed[waiter] == nil, "a waiter is settled once")
                #expect(waiting.contains(waiter), "fails a waiter that is not waiting")
                waiting.removeAll { $0 == waiter }
                failed[waiter] = error
            case .hedge(let id): hedged.append(id)
            case .report(let event): events.append(event)
            }
            #expect(sockets.count <= machine.settings.maximum, "more sockets than the maximum")
        }
    }

    private mutating func forget(_ id: ConnectionID) {
        sockets.remove(id)
        connecting.removeAll { $0 == id }
        checking.removeAll { $0 == id }
        resetting.removeAll { $0 == id }
        leased.removeAll { $0 == id }
    }

    // MARK: Invariants

    /// Returns the invariants that do not hold.
    func breaches() -> [String] {
        var found: [String] = []
        func require(_ holds: Bool, _ text: @autoclosure () -> String) { if !holds { found.append(text()) } }
        let slots = machine.slots
        require(sockets.count <= machine.settings.maximum, "\(sockets.count) sockets")
        require(slots.usedCount == sockets.count, "\(slots.usedCount) slots in use for \(sockets.count) sockets")
        require(slots.ids(in: .idle).count == slots.idle.count, "the idle stack is out of step")
        require(Set(slots.ids(in: .leased)) == Set(leased), "leased: \(slots.ids(in: .leased)) and \(leased)")
        require(Set(slots.ids(in: .connecting)) == Set(connecting), "connecting is out of step")
        require(Set(slots.ids(in: .checking)) == Set(checking), "checking is out of step")
        require(Set(slots.ids(in: .resetting)) == Set(resetting), "resetting is out of step")
        require(slots.closingCount == 0, "the count of closing is \(slots.closingCount)")
        require(slots.connectingCount == connecting.count, "the count of connecting is \(slots.connectingCount)")
        require(slots.leasedCount == leased.count, "the count of leased is \(slots.leasedCount)")
        require(slots.silentCount == slots.slots.count { $0.isSilent }, "the count of silent is \(slots.silentCount)")
        require(
            slots.pinnedCount == slots.slots.count { $0.isPinned },
            "the count of pinned is \(slots.pinnedCount)")
        require(machine.waiters.count == waiting.count, "\(machine.waiters.count) waiters for \(waiting.count)")
        require(waiting.isEmpty || slots.idle.isEmpty, "a waiter while a connection is idle")
        require(machine.state.isProbing || machine.prober.probes.isEmpty, "probes in flight while \(health)")
        require(Set(machine.prober.probes.map(\.id)).isSubset(of: connecting), "a probe that is not a connect")
        if machine.state.isProbing {
            require(machine.prober.isRunning, "no prober while \(health)")
            require(Set(machine.prober.probes.map(\.id)) == Set(connecting), "a connect that is not a probe")
            var asked = machine
            require(asked.nextDeadline() != .distantFuture, "no deadline while \(health)")
            for index in slots.idle {
                let latest = slots.slots[index].lastReplyAt
                require(latest >= machine.outage?.since ?? now, "an unproven connection is idle while \(health)")
            }
        }
        if machine.health.failsAtOnce {
            require(
                waiting.isEmpty || machine.state.search?.onDemandDeadline != nil,
                "a waiter without a deadline while \(health)")
        }
        if machine.health == .up, !waiting.isEmpty, slots.hasFree, slots.connectingCount == 0 {
            require(machine.slowStart.blockedUntil > now, "no connect for the waiters")
        }
        require(machine.doubt == nil || machine.health == .up, "a doubt while \(health)")
        if machine.retirement.isWanted, machine.health == .up, slots.hasFree, slots.connectingCount == 0 {
            var asked = machine
            require(asked.nextDeadline() != .distantFuture, "no deadline for a connection that is due")
        }
        require(machine.retirement.credit >= -1, "two connections closed ahead of their successors")
        if machine.health == .draining { require(waiting.isEmpty, "a waiter while draining") }
        if machine.health == .closed { require(sockets.isEmpty, "sockets after closing") }
        return found
    }
}

extension PostgresError {
    static let refused = PostgresError(code: Code.refused, message: "connection refused", disposition: .outage)
    static let ended = PostgresError(code: Code.ended, message: "ended without a word", disposition: .outage)
    static let starting = PostgresError(
        code: "57P03", severity: .fatal, message: "the database system is starting up", disposition: .outage)
    static let terminated = PostgresError(
        code: "57P01", severity: .fatal, message: "terminating connection", disposition: .terminated)
    static let idleSession = PostgresError(
        code: "57P05", severity: .fatal, message: "idle session timeout", disposition: .discard)
    static let badPassword = PostgresError(
        code: "28P01", severity: .fatal, message: "password authentication failed", disposition: .configuration)
    static let tooMany = PostgresError(
        code: "53300", severity: .fatal, message: "too many clients already", disposition: .outage)
    static let wrongRole = SessionTarget.readWrite.wrongRole
    static let readOnly = PostgresError(
        code: "25006", severity: .error, message: "cannot execute in a read-only transaction", disposition: .wrongRole)
    static let noAnswer = PostgresError(
        code: Code.queryTimeout, message: "no answer in time", disposition: .discard)
    static let connectTimeout = PostgresError(
        code: Code.connectTimeout, message: "no answer to the connect", disposition: .outage)
}
