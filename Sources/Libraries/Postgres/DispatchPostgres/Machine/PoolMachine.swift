import DispatchLoop
import PostgresSession

/// The pool as a value: decides everything, does nothing.
///
/// Inputs are the mutating methods; each takes the time. What is to be done is appended to ``actions``, in order, for
/// the shell (``PostgresPool``) to perform. Invariants, checked by the tests after every step:
///
/// 1. Sockets, and slots in use, are never more than the maximum.
/// 2. Every waiter is granted a connection, failed, or taken back: exactly one of them, once. Grants are in FIFO order.
/// 3. Nobody waits while a connection is idle, in any health.
/// 4. While the health is suspect, down, misconfigured or read-only, a probe is in flight or has its time set.
/// 5. Every state that ends by time has its time in ``nextDeadline``.
/// 6. Idle connections have proved themselves since the outage began, if there is one.
/// 7. A connection is closed for its age only when a successor has proved itself, or will have its slot.
struct PoolMachine: Sendable {
    enum Action: Sendable, Hashable {
        /// Begin a connect, and prove it with an empty query if ``loginProvesNothing``; answer with `connected` or
        /// `connectFailed`.
        case connect(ConnectionID)
        /// Run an empty query, and look at the way to the server when it is silent; answer with `checked` or `ended`.
        case check(ConnectionID)
        /// End what the connection is running; answer with `wasReset` or `ended`.
        case reset(ConnectionID)
        /// Close the connection or give up the connect; answer with `closed`.
        case close(ConnectionID, SessionCloseReason)
        /// The waiter has this connection.
        case grant(WaiterID, ConnectionID)
        /// The waiter gets none.
        case fail(WaiterID, PoolError)
        /// The query that is silent on this connection may be run on another one as well.
        case hedge(ConnectionID)
        /// Tell the delegate.
        case report(PoolEvent)
    }

    /// The answer to a request for a connection.
    enum CheckOut: Sendable, Hashable {
        case lease(ConnectionID)
        case wait(WaiterID)
        case fail(PoolError)
    }

    let settings: PoolSettings
    /// Those of the settings' durations that are added with every query, in nanoseconds.
    let keepalive, idleTimeout: Int64?
    let silenceFloor: Int64
    /// Whether a read-only session is of no use.
    let requiresReadWrite: Bool

    var slots: SlotTable
    var waiters = WaiterQueue()
    /// Moved only in `PoolMachine+Supervision.swift`.
    var health = DatabaseState.suspect
    /// The outage that goes on; `nil` while the health is up.
    var outage: Outage?
    var prober = Prober()
    var slowStart = SlowStart()
    /// When the youngest of the connects began that have succeeded.
    var latestSuccessBegan = MonotonicTime(nanoseconds: .min)
    /// Connections of earlier generations are closed when they come home.
    var generation: UInt32 = 0
    /// When any connection last proved that the database answers.
    var latestReply = MonotonicTime(nanoseconds: .min)
    /// When the latest question was asked that was answered within the usual time.
    var latestQuickQuestion = MonotonicTime(nanoseconds: .min)
    /// What an answer and a log-in take on this database.
    var answers = LatencyEstimate()
    var logins = LatencyEstimate()
    var hedges = HedgeBudget()
    /// Given up for a probe, and not closed yet: one is enough.
    var makingRoom: ConnectionID?
    /// Moved only in `PoolMachine+Doubt.swift`.
    var doubt: Doubt?
    /// When the connect began whose failure the outage's cause is.
    var causeBegan = MonotonicTime(nanoseconds: .min)
    /// Moved only in `PoolMachine+Maintenance.swift`.
    var retirement = Retirement()
    /// What the server said that it is, when it was last heard of.
    var role: ServerRole?
    /// When a session was last ended by an administrator.
    var latestTermination: MonotonicTime?
    /// A session was let in and then lost before it had answered anything, as a pooler does whose server is away (it
    /// admits clients from memory). From then on a connect counts as successful once an empty query was answered on it.
    private(set) var loginProvesNothing = false
    /// Until when the waiters of an established outage may wait for the probe under way.
    var onDemandDeadline: MonotonicTime?
    /// When an idle connection has something due; never later than it really is.
    var maintenanceAt = MonotonicTime.distantFuture
    var drainDeadline = MonotonicTime.distantFuture
    var random: SplitMix64
    /// What the shell has to perform, in order.
    var actions: [Action] = []

    init(settings: PoolSettings, requiresReadWrite: Bool = false, seed: UInt64) {
        self.settings = settings
        keepalive = settings.keepalive?.nanoseconds
        idleTimeout = settings.idleTimeout?.nanoseconds
        silenceFloor = settings.silenceTimeout.nanoseconds
        self.requiresReadWrite = requiresReadWrite
        slots = SlotTable(count: settings.maximum)
        random = SplitMix64(seed: seed)
    }

    // MARK: Checking out

    /// A request asks for a connection, and waits until `deadline` for one.
    mutating func checkOut(deadline: MonotonicTime = .distantFuture, at now: MonotonicTime) -> CheckOut {
        if health == .draining || health == .closed { return .fail(poolError(.closed, at: now)) }
        if let id = slots.leaseWarmest(at: now) {
            hedges.begin(at: now)
            return .lease(id)
        }
        if !isStarted { return .fail(poolError(.notStarted, at: now)) }
        guard waiters.count < settings.maximumWaiters else { return .fail(poolError(.saturated, at: now)) }
        switch health {
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
            onDemandDeadline = max(limit, onDemandDeadline ?? limit)
            return .wait(waiters.enqueue(deadline: deadline))
        }
    }

    private var isStarted: Bool { health != .suspect || outage != nil }

    /// For how long a query may be silent before that is unusual, in nanoseconds.
    var silenceLimit: Int64 { answers.limit(floor: silenceFloor) }

    /// How long an empty query on a suspected connection may be silent before the way to the server is looked at, in
    /// nanoseconds.
    var checkLimit: Int64 { answers.limit(floor: settings.checkTimeout.nanoseconds) }

    /// The waiter does not want a connection any more. `false` when it has been settled already.
    mutating func giveUp(_ waiter: WaiterID) -> Bool {
        waiters.remove(waiter)
    }

    /// Those who have waited until their deadlines get none.
    private mutating func expireWaiters(at now: MonotonicTime) {
        while let waiter = waiters.dequeueExpired(at: now) {
            actions.append(.fail(waiter, poolError(health == .up ? .saturated : .unavailable, at: now)))
        }
    }

    mutating func bringProbeForward(at now: MonotonicTime) {
        // What a wrong setting needs is a person; asking more often only fills the server's log.
        if outage?.cause.disposition == .configuration { return }
        prober.expedite(at: now)
        runProber(at: now)
    }

    // MARK: Coming home

    /// Whoever leased the connection has done with it. `isOverdue`: because the query on it ran into its deadline.
    mutating func release(_ id: ConnectionID, needsReset: Bool, isOverdue: Bool = false, at now: MonotonicTime) {
        guard let slot = slots.slot(id), slot.state == .leased else { return }
        // A pooler whose server is away lets us in and never answers.
        if isOverdue, !slot.hasAnswered { loginProvesNothing = true }
        if needsReset, health != .draining {
            slots.beginReset(id, at: now)
            actions.append(.reset(id))
            if isOverdue { doubtAfterDeadline(of: slot, at: now) }
            serveWaiters(at: now)
        } else {
            checkIn(id, at: now)
        }
    }

    /// What the connection was running has been ended.
    mutating func wasReset(_ id: ConnectionID, took: Int64 = 0, at now: MonotonicTime) {
        guard let slot = slots.slot(id), slot.state == .resetting else { return }
        // It has ended what it was told to end: a server, and no pooler without one.
        if !slot.hasAnswered { loginProvesNothing = false }
        answered(id, took: took, at: now)
        checkIn(id, at: now)
    }

    /// The empty query was answered, after so many nanoseconds; 0 where that is not known.
    mutating func checked(_ id: ConnectionID, took: Int64 = 0, at now: MonotonicTime) {
        guard slots.state(id) == .checking else { return }
        answered(id, took: took, at: now)
        checkIn(id, at: now)
    }

    /// The lease is given up together with its connection.
    mutating func discard(_ id: ConnectionID, _ reason: SessionCloseReason, at now: MonotonicTime) {
        guard let state = slots.state(id), state != .closing else { return }
        close(id, reason, at: now)
        limitCredit(at: now)
    }

    /// The lease is kept for good, by somebody who only listens.
    mutating func pin(_ id: ConnectionID, at now: MonotonicTime) {
        guard slots.state(id) == .leased else { return }
        slots.update(id) { $0.isPinned = true }
    }

    mutating func checkIn(_ id: ConnectionID, at now: MonotonicTime) {
        guard let slot = slots.slot(id) else { return }
        if health == .draining {
            close(id, .drained, at: now)
        } else if slot.generation != generation {
            close(id, .retired, at: now)
        } else if slot.expiresAt <= now, mayRetire(slot, at: now) {
            close(id, slot.expiryReason, at: now)
        } else if let outage, slot.lastReplyAt < outage.since {
            // It may be dead without knowing. Waiters are not to be handed a guess.
            slots.becomeIdle(id, at: now)
            beginCheck(id, at: now)
        } else if waiters.isEmpty, slots.idle.count >= settings.maximumIdle ?? .max {
            close(id, .surplusIdle, at: now)
        } else {
            slots.becomeIdle(id, at: now)
            let due = maintenanceDue(slots.slot(id) ?? slot)
            // What is due and cannot be done is not looked at with each query.
            maintenanceAt = min(maintenanceAt, due > now ? due : now + Self.lifetimeSpacing)
            serveWaiters(at: now)
        }
    }

    mutating func beginCheck(_ id: ConnectionID, at now: MonotonicTime) {
        slots.beginCheck(id, at: now)
        actions.append(.check(id))
    }

    // MARK: Ends

    /// The session ended by itself; its socket is closed already.
    mutating func ended(_ id: ConnectionID, _ error: PostgresError, at now: MonotonicTime) {
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
        // Letting us in and then hanging up is a failed connect, or there would be no end of them.
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

    /// `PQfinish` has returned, or the connect has been given up.
    mutating func closed(_ id: ConnectionID, at now: MonotonicTime) {
        guard let slot = slots.slot(id), slot.state == .closing, !slot.isBorrowed else { return }
        if makingRoom == id { makingRoom = nil }
        slots.release(id, at: now)
        serveWaiters(at: now)
    }

    mutating func close(_ id: ConnectionID, _ reason: SessionCloseReason, at now: MonotonicTime) {
        slots.beginClose(id, at: now)
        actions.append(.close(id, reason))
        actions.append(.report(.closed(id, reason, nil)))
    }

    // MARK: Bringing both together

    /// Hands idle connections to waiters, and sees to what the change has made possible.
    mutating func serveWaiters(at now: MonotonicTime) {
        while !waiters.isEmpty, let id = slots.leaseWarmest(at: now), let waiter = waiters.dequeue() {
            hedges.begin(at: now)
            actions.append(.grant(waiter, id))
        }
        switch health {
        case .up:
            if doubt != nil { soundOutDoubt(at: now) }
            grow(at: now)
        case .suspect, .down, .misconfigured, .readOnly: runProber(at: now)
        case .draining: finishDraining(at: now)
        case .closed: break
        }
    }

    // MARK: Time

    /// When ``tick(at:)`` is to be called at the latest; earlier does no harm.
    var nextDeadline: MonotonicTime {
        // Mutating, though it changes nothing: asked of a class's property, it would be asked of a copy of the machine.
        mutating get { min(ownDeadline, waiters.earliestDeadline) }
    }

    private var ownDeadline: MonotonicTime {
        var deadline = maintenanceAt
        switch health {
        case .suspect:
            if let outage { deadline = min(deadline, graceEnd(of: outage), probeAt) }
        case .down, .misconfigured, .readOnly:
            deadline = min(deadline, probeAt, waiters.isEmpty ? .distantFuture : onDemandDeadline ?? .distantFuture)
        case .up:
            if let doubt { deadline = min(deadline, doubt.nextAt) }
            deadline = min(deadline, growthAt)
        case .draining: deadline = drainDeadline
        case .closed: deadline = .distantFuture
        }
        return deadline
    }

    /// When the next probe is due. One that waits for a slot to be free has no time of its own: `closed` leads to it.
    private var probeAt: MonotonicTime {
        prober.probes.isEmpty && !slots.hasFree && slots.closingCount > 0 ? .distantFuture : prober.nextAt
    }

    /// Some of the machine's deadlines have passed, perhaps.
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

    static let wrongRole = PostgresError(
        code: PostgresError.Code.wrongRole,
        message: "the server is read-only, and target_session_attrs asks for read-write", disposition: .wrongRole)
}
