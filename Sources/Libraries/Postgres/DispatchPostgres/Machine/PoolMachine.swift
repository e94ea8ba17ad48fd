import DispatchLoop
import PostgresSession

/// The pool as a value: it decides everything and performs nothing.
///
/// Inputs are mutating methods that take the time. After each, the shell (``PostgresPool``) performs what ``nextAction()``
/// returns, until it returns `nil`. Invariants, checked by the tests after every step:
///
/// 1. Sockets, and slots in use, never exceed the maximum.
/// 2. Every waiter is settled exactly once: granted a connection, failed, or withdrawn. Grants are in FIFO order.
/// 3. No waiter waits while a connection is idle, in any state.
/// 4. During an outage, a probe is running or scheduled.
/// 5. Every state with a time limit has that limit in ``nextDeadline()``.
/// 6. During an outage every idle connection has answered since the outage began.
/// 7. The pool closes a connection for its age, or for a role that its server has lost, only when a successor has
///    answered, or will take its slot; or, for the role, when no server has it.
struct PoolMachine: Sendable {
    enum Action: Sendable, Hashable {
        /// Connect, and run an empty query if ``loginProvesNothing``; reply with `connected` or `connectFailed`.
        case connect(ConnectionID)
        /// Run an empty query, and look at the network path when it stays silent; reply with `checked` or
        /// `disconnected`.
        case check(ConnectionID)
        /// End the connection's statement and transaction; reply with `wasReset` or `disconnected`.
        case reset(ConnectionID)
        /// Close the connection or abandon the connect; reply with `closed`.
        case close(ConnectionID, SessionCloseReason)
        /// Give the connection to the waiter.
        case grant(WaiterID, ConnectionID)
        /// Fail the waiter.
        case fail(WaiterID, PoolError)
        /// Allow the silent query on this connection to run on another one as well.
        case hedge(ConnectionID)
        /// Notify the observers.
        case report(PoolEvent)
    }

    /// The result of a request for a connection.
    enum CheckOut: Sendable, Hashable {
        case lease(ConnectionID)
        case wait(WaiterID)
        case fail(PoolError)
    }

    let settings: PoolSettings
    /// Settings that every query adds to the time, in nanoseconds.
    let keepalive, idleTimeout: Int64?
    let silenceFloor: Int64
    /// The role that sessions must have.
    let target: SessionTarget

    var slots: SlotTable
    var waiters = WaiterQueue()
    private(set) var state = State.notStarted
    var prober: Prober
    var slowStart = SlowStart()
    /// When the youngest successful connect began.
    var latestSuccessBegan = MonotonicTime(nanoseconds: .min)
    /// Connections of earlier generations are closed at check-in.
    var generation: UInt32 = 0
    /// When the database last replied on any connection.
    var latestReply = MonotonicTime(nanoseconds: .min)
    /// When the latest query to be answered within the usual time began.
    var latestQuickQuestion = MonotonicTime(nanoseconds: .min)
    /// How long queries and logins take on this database.
    var answers = LatencyEstimate()
    var logins = LatencyEstimate()
    var hedges = HedgeBudget()
    /// The connection that is being closed to free a slot for a probe; one at a time.
    var makingRoom: ConnectionID?
    /// Changed only in `PoolMachine+Doubt.swift`.
    var doubt: Doubt?
    /// Changed only in `PoolMachine+Maintenance.swift`.
    var retirement = Retirement()
    /// Changed only in `PoolMachine+Roles.swift`.
    var roleWatch = RoleWatch()
    /// The server's role, as it last reported it.
    var role: ServerRole?
    /// When an administrator last terminated a session.
    var latestTermination: MonotonicTime?
    /// Whether logins prove nothing: a session was admitted and lost before its first reply, as behind a pooler whose
    /// server is down (it admits clients from memory). A connect then succeeds only when an empty query has been
    /// answered on it.
    private(set) var loginProvesNothing = false
    /// When an idle connection needs maintenance; never later than it really does.
    var maintenanceAt = MonotonicTime.distantFuture
    var random: SplitMix64
    var actions = ActionQueue<Action>()

    init(settings: PoolSettings, target: SessionTarget = .any, servers: Int = 1, seed: UInt64) {
        self.settings = settings
        // A promotion is reported only with a session's next reply, so each idle session is asked.
        let intervals = [settings.keepalive, target.endsWithPromotion ? settings.standbyKeepalive : nil]
        keepalive = intervals.compactMap { $0?.nanoseconds }.min()
        idleTimeout = settings.idleTimeout?.nanoseconds
        silenceFloor = settings.silenceTimeout.nanoseconds
        self.target = target
        prober = Prober(servers: servers)
        slots = SlotTable(count: settings.maximum)
        random = SplitMix64(seed: seed)
    }

    /// The next action for the shell to perform; `nil` when none is left.
    ///
    /// The indices of removed waiters stay in use until then, because a `grant` or `fail` of theirs may be among the
    /// actions.
    mutating func nextAction() -> Action? {
        if let action = actions.next() { return action }
        waiters.recycle()
        return nil
    }

    // MARK: State

    var health: DatabaseState { state.database }
    var outage: Outage? { state.search?.outage }

    /// The only transition between states. Reports it, with the outage that begins, continues or has just ended.
    mutating func move(to next: State, at now: MonotonicTime) {
        let previous = state
        state = next
        guard previous.database != next.database else { return }
        let outage = next.search?.outage ?? previous.search?.outage
        actions.append(
            .report(.healthChanged(from: previous.database, to: next.database, outage: outage, at: now)))
    }

    /// Changes what is known about the outage; does nothing without one.
    mutating func updateSearch(_ change: (inout Search) -> Void) { state = state.updating(change) }

    // MARK: Checking out

    /// A request for a connection that may wait until `deadline`.
    mutating func checkOut(deadline: MonotonicTime = .distantFuture, at now: MonotonicTime) -> CheckOut {
        switch state {
        case .draining, .closed: return .fail(poolError(.closed, at: now))
        default: break
        }
        if let id = slots.leaseWarmest(at: now) {
            hedges.begin(at: now)
            return .lease(id)
        }
        if case .notStarted = state { return .fail(poolError(.notStarted, at: now)) }
        guard waiters.count < settings.maximumWaiters else { return .fail(poolError(.saturated, at: now)) }
        switch state {
        case .up:
            let waiter = waiters.enqueue(deadline: deadline)
            grow(at: now)
            return .wait(waiter)
        case .suspect:
            let waiter = waiters.enqueue(deadline: deadline)
            bringProbeForward(at: now)
            return .wait(waiter)
        default:
            bringProbeForward(at: now)
            guard let limit = prober.onDemandDeadline(at: now) else { return .fail(poolError(.unavailable, at: now)) }
            updateSearch { $0.onDemandDeadline = max(limit, $0.onDemandDeadline ?? limit) }
            return .wait(waiters.enqueue(deadline: deadline))
        }
    }

    /// How long a query may usually be silent, in nanoseconds.
    var silenceLimit: Int64 { answers.limit(floor: silenceFloor) }

    /// How long an empty query on a suspected connection may be silent before the pool looks at the network path, in
    /// nanoseconds.
    var checkLimit: Int64 { answers.limit(floor: settings.checkTimeout.nanoseconds) }

    /// Withdraws a waiter. `false` when it is settled already.
    mutating func giveUp(_ waiter: WaiterID) -> Bool {
        waiters.remove(waiter)
    }

    /// Fails the waiters whose deadlines have passed.
    private mutating func expireWaiters(at now: MonotonicTime) {
        while let waiter = waiters.dequeueExpired(at: now) {
            actions.append(.fail(waiter, poolError(state.isUp ? .saturated : .unavailable, at: now)))
        }
    }

    mutating func bringProbeForward(at now: MonotonicTime) {
        // Only an operator can fix a setting; probing more often would only fill the server's log.
        if outage?.cause.disposition == .configuration { return }
        prober.expedite(hasFreeSlot: slots.hasFree, at: now)
        runProber(at: now)
    }

    // MARK: Checking in

    /// The lease ends. `isOverdue`: its query missed its deadline.
    mutating func release(_ id: ConnectionID, needsReset: Bool, isOverdue: Bool = false, at now: MonotonicTime) {
        guard let slot = slots.slot(id), slot.state == .leased else { return }
        // A pooler whose server is down admits us and never answers.
        if isOverdue, !slot.hasAnswered { loginProvesNothing = true }
        if needsReset, !state.isDraining {
            slots.beginReset(id, at: now)
            actions.append(.reset(id))
            if isOverdue { doubtAfterDeadline(of: slot, at: now) }
            serveWaiters(at: now)
        } else {
            checkIn(id, at: now)
        }
    }

    /// The connection's statement has been ended.
    mutating func wasReset(_ id: ConnectionID, took: Int64 = 0, at now: MonotonicTime) {
        guard let slot = slots.slot(id), slot.state == .resetting else { return }
        // It honored the cancel request, so a server is behind the pooler.
        if !slot.hasAnswered { loginProvesNothing = false }
        noteReply(id, took: took, at: now)
        checkIn(id, at: now)
    }

    /// The empty query was answered after `took` nanoseconds; 0 if unknown.
    mutating func checked(_ id: ConnectionID, took: Int64 = 0, at now: MonotonicTime) {
        guard slots.state(id) == .checking else { return }
        noteReply(id, took: took, at: now)
        checkIn(id, at: now)
    }

    /// The lease ends, and its connection with it.
    mutating func discard(
        _ id: ConnectionID, _ reason: SessionCloseReason, _ error: PostgresError? = nil, at now: MonotonicTime
    ) {
        guard let slot = slots.state(id), slot != .closing else { return }
        close(id, reason, error, at: now)
        limitCredit(at: now)
    }

    /// The lease becomes permanent: its holder only listens.
    mutating func pin(_ id: ConnectionID, at now: MonotonicTime) {
        guard slots.state(id) == .leased else { return }
        slots.update(id) { $0.isPinned = true }
    }

    mutating func checkIn(_ id: ConnectionID, at now: MonotonicTime) {
        guard let slot = slots.slot(id) else { return }
        if state.isDraining {
            close(id, .drained, at: now)
        } else if slot.generation != generation {
            close(id, .retired, at: now)
        } else if slot.expiresAt <= now, takeRetirement() {
            close(id, slot.retirementReason, at: now)
        } else if let outage, slot.lastReplyAt < outage.since {
            // It may have died unnoticed: check it before a waiter gets it.
            slots.becomeIdle(id, at: now)
            beginCheck(id, at: now)
        } else if waiters.isEmpty, slots.idle.count >= settings.maximumIdle ?? .max {
            close(id, .surplusIdle, at: now)
        } else {
            slots.becomeIdle(id, at: now)
            let due = maintenanceDue(slots.slot(id) ?? slot)
            // Maintenance that is due and impossible is retried later, not on each query.
            maintenanceAt = min(maintenanceAt, due > now ? due : now + Self.lifetimeSpacing)
            serveWaiters(at: now)
        }
    }

    mutating func beginCheck(_ id: ConnectionID, at now: MonotonicTime) {
        slots.beginCheck(id, at: now)
        actions.append(.check(id))
    }

    // MARK: Disconnecting

    /// The session ended on its own; its socket is already closed.
    mutating func disconnected(_ id: ConnectionID, _ error: PostgresError, at now: MonotonicTime) {
        guard let slot = slots.slot(id), slot.state != .closing else { return }
        let reason: SessionCloseReason =
            switch slot.state {
            case .checking: .checkFailed
            case .resetting: .resetFailed
            case .leased: .failed
            case .idle, .connecting, .free, .closing: .ended
            }
        slots.release(id, at: now)
        limitCredit(at: now)
        actions.append(.report(.closed(id, reason, error)))
        // A session lost before its first reply counts as a failed connect; otherwise we would reconnect in a tight
        // loop.
        if !slot.hasAnswered, error.code != PostgresError.Code.queryTimeout {
            _ = slowStart.failed(at: now, isSlow: false, using: &random)
            if error.disposition == .outage { loginProvesNothing = true }
        }
        if slot.state == .checking, error.code == PostgresError.Code.queryTimeout {
            checkExpired(at: now)
        } else {
            classify(error, at: now)
        }
        serveWaiters(at: now)
    }

    /// `PQfinish` has returned, or the connect has been abandoned.
    mutating func closed(_ id: ConnectionID, at now: MonotonicTime) {
        guard let slot = slots.slot(id), slot.state == .closing, !slot.isBorrowed else { return }
        if makingRoom == id { makingRoom = nil }
        slots.release(id, at: now)
        serveWaiters(at: now)
    }

    mutating func close(
        _ id: ConnectionID, _ reason: SessionCloseReason, _ error: PostgresError? = nil, at now: MonotonicTime
    ) {
        slots.beginClose(id, at: now)
        actions.append(.close(id, reason))
        actions.append(.report(.closed(id, reason, error)))
    }

    // MARK: Serving waiters

    /// Hands idle connections to waiters, then starts whatever the change allows: growth, a probe, the end of draining.
    mutating func serveWaiters(at now: MonotonicTime) {
        while !waiters.isEmpty, let id = slots.leaseWarmest(at: now), let waiter = waiters.dequeue() {
            hedges.begin(at: now)
            actions.append(.grant(waiter, id))
        }
        switch state {
        case .up:
            if doubt != nil { soundOutDoubt(at: now) }
            grow(at: now)
        case .suspect, .down, .misconfigured, .readOnly: runProber(at: now)
        case .draining: finishDraining(at: now)
        case .notStarted, .closed: break
        }
    }

    // MARK: Time

    /// When to call ``tick(at:)`` at the latest; earlier does no harm.
    ///
    /// `mutating` only so that a caller with the machine in a class property does not copy it.
    mutating func nextDeadline() -> MonotonicTime { min(ownDeadline, waiters.earliestDeadline) }

    private var ownDeadline: MonotonicTime {
        switch state {
        case .up:
            var deadline = min(maintenanceAt, growthAt)
            if let doubt { deadline = min(deadline, doubt.nextAt) }
            return deadline
        case .suspect(let search): return min(maintenanceAt, graceEnd(of: search.outage), probeAt)
        case .down(let search), .misconfigured(let search), .readOnly(let search):
            let onDemand = waiters.isEmpty ? .distantFuture : search.onDemandDeadline ?? .distantFuture
            return min(maintenanceAt, probeAt, onDemand)
        case .draining(let deadline): return deadline
        case .notStarted: return maintenanceAt
        case .closed: return .distantFuture
        }
    }

    /// When the next probe is due. A probe that waits for a free slot has no time: `closed` starts it.
    private var probeAt: MonotonicTime {
        prober.probes.isEmpty && !slots.hasFree && slots.closingCount > 0 ? .distantFuture : prober.nextAt
    }

    /// Handles the deadlines that have passed.
    mutating func tick(at now: MonotonicTime) {
        supervise(at: now)
        if now >= maintenanceAt { maintain(at: now) }
        serveWaiters(at: now)
        expireWaiters(at: now)
    }

    func poolError(_ kind: PoolError.Kind, at now: MonotonicTime) -> PoolError {
        PoolError(
            kind: kind, health: health, cause: kind == .unavailable ? outage?.cause : nil,
            outageDuration: outage.map { now - $0.since },
            nextAttempt: prober.isRunning ? max(prober.nextAt - now, .zero) : nil)
    }
}
