public import DispatchLoop
public import PostgresSession

/// A pool of connections to one database. It keeps them alive, replaces them, and reconnects after an outage.
///
/// ```swift
/// let pool = PostgresPool(ConnectionConfiguration("postgres://…"))
/// let connection = try await pool.checkOut(deadline: .now() + .seconds(1))
/// defer { pool.release(connection) }
/// let result = try await connection.query("select 1", isIdempotent: true, deadline: .now() + .seconds(1))
/// ```
///
/// Connections are opened after ``start()``, in the process that calls it, and belong to that process.
@LoopActor
public final class PostgresPool {
    // `PoolMachine` decides; this is the shell that performs.

    /// How to connect to the database.
    public let configuration: ConnectionConfiguration
    /// How the pool behaves.
    public let settings: PoolSettings
    private var observers: [any PoolObserver]
    /// The observers that want measurements.
    private(set) var measuringObservers: [any PoolObserver]

    /// How long a query that begins now may usually be silent, in nanoseconds.
    // Not the machine's own property: reading that through a class property would copy the machine.
    var silenceLimit: Int64 { machine.answers.limit(floor: machine.silenceFloor) }

    /// Timeout for the pool's own statements between two leases (an empty query, a rollback): longer than a slow server
    /// takes.
    var patience: Duration { max(.seconds(1), .nanoseconds(2 * min(silenceLimit, Self.longestSilence))) }

    /// A waiter's result. Like `Result`, with the large error boxed: it is embedded in every waiting task's frame.
    enum WaiterOutcome {
        case success(Leased)
        indirect case failure(PoolError)

        func get() throws(PoolError) -> Leased {
            switch self {
            case .success(let leased): return leased
            case .failure(let error): throw error
            }
        }
    }

    /// Keeps ``patience`` from overflowing with an extreme setting.
    private static let longestSilence = Duration.seconds(3_600).nanoseconds

    /// A connection and its identifier.
    struct Leased {
        let id: ConnectionID
        let connection: PostgresConnection
    }

    let loop = EventLoop.shared
    let forkMark = ForkDetector()
    let resolver: HostResolver
    let memory = ServerMemory()
    /// The role that sessions must have.
    let target: SessionTarget
    let hooks: PoolHooks
    var machine: PoolMachine
    var connections: [PostgresConnection?]
    var attempts: [ConnectAttempt?]
    /// The hooks that run for a slot.
    var hookTasks: [HookTask?]
    /// Why the password provider has failed just now.
    var passwordRefusal: (error: PostgresError, until: MonotonicTime)?
    /// The additional slots of connects that race addresses.
    var borrowedSlots: [ObjectIdentifier: [ConnectionID]] = [:]
    /// Silent queries that may be hedged.
    private var silentQueries: [ConnectionID: HedgedQuery] = [:]
    /// Indexed by the waiters' indices.
    var waiting: [WaitingEntry?] = []
    /// Sessions that still run a query whose hedge has answered.
    private var losers: Set<ConnectionID> = []
    private var timer = DeadlineTimer()
    private var isPerforming = false
    private lazy var subscriptions = SubscriptionHub(pool: self)
    private var whenClosed: [CheckedContinuation<Void, Never>] = []

    /// Creates a pool; ``start()`` starts it.
    ///
    /// - Parameters:
    ///   - configuration: how to connect to the database.
    ///   - settings: how the pool behaves.
    ///   - observers: receive the pool's events, in this order. The pool keeps them alive until it is closed.
    /// - Precondition: `settings.problem` is `nil`.
    public convenience init(
        _ configuration: ConnectionConfiguration, settings: PoolSettings = PoolSettings(),
        observers: [any PoolObserver] = []
    ) {
        self.init(configuration, settings: settings, observers: observers, resolver: .shared)
    }

    package init(
        _ configuration: ConnectionConfiguration, settings: PoolSettings, hooks: PoolHooks = PoolHooks(),
        observers: [any PoolObserver] = [], resolver: HostResolver = .shared
    ) {
        precondition(settings.problem == nil, settings.problem ?? "")
        self.configuration = configuration
        self.settings = settings
        self.hooks = hooks
        self.observers = observers
        measuringObservers = observers.filter(\.wantsMeasurements)
        self.resolver = resolver
        connections = Array(repeating: nil, count: settings.maximum)
        attempts = Array(repeating: nil, count: settings.maximum)
        hookTasks = Array(repeating: nil, count: settings.maximum)
        target = configuration.target
        machine = PoolMachine(
            settings: settings, target: target, servers: configuration.servers.count, seed: .random(in: 0 ... .max))
    }

    // MARK: Lifecycle

    /// Starts connecting. An unreachable database is not an error: the pool searches until it answers.
    public func start() {
        apply { $0.start(at: $1) }
    }

    /// Closes the pool: refuses check-outs, closes idle connections now, leased ones when they are released, and the
    /// rest at the deadline. Returns when no connection is open.
    public func close(deadline: MonotonicTime) async {
        subscriptions.close()
        apply { $0.drain(at: $1, deadline: deadline) }
        await withCheckedContinuation { continuation in
            // Checked here and not before the `await`, during which the state may change.
            if machine.health == .closed { continuation.resume() } else { whenClosed.append(continuation) }
        }
    }

    /// The pool's present state.
    public var snapshot: PoolSnapshot { PoolSnapshot(machine, role: currentRole, at: loop.now) }

    /// The server's role, as the connection with the latest reply reports it.
    private var currentRole: ServerRole? {
        var latest: PostgresConnection?
        for (slot, connection) in zip(machine.slots.slots, connections) where slot.generation == machine.generation {
            guard let connection, connection.lastReplyAt > latest?.lastReplyAt ?? MonotonicTime(nanoseconds: .min)
            else {
                continue
            }
            latest = connection
        }
        return latest.map(\.serverRole) ?? machine.role
    }

    /// Stores the role, which determines the keepalive of standbys.
    func updateRole() { machine.role = currentRole }

    /// Tells the machine when a session reports that its server has lost the wanted role.
    private func noteRole(_ id: ConnectionID, _ connection: PostgresConnection) {
        guard target != .any, connection.hasWrongRole(for: target) else { return }
        apply { $0.lostRole(id, at: $1) }
    }

    /// Listens on a channel (`LISTEN`) until the subscription is dropped or the pool is closed. All subscriptions of a
    /// pool share one of its connections.
    ///
    /// - Throws: ``PostgresError`` when the name cannot be a channel's.
    public func subscribe(to channel: String) throws(PostgresError) -> Subscription {
        try subscriptions.subscribe(to: channel)
    }

    /// The number of times that the pool has retired all its connections.
    var generation: UInt32 { machine.generation }

    /// When the connection's lifetime ends; `nil` when it has lost its slot.
    func expiry(of id: ConnectionID) -> MonotonicTime? { machine.slots.slot(id)?.expiresAt }

    // MARK: Reports from leases

    /// A lease ends. `isOverdue`: its query missed its deadline, and the server may still run it. `hasLost`: another
    /// session has answered the same query; this one may answer in a moment.
    func giveBack(_ leased: Leased, isOverdue: Bool = false, hasLost: Bool = false) {
        if !silentQueries.isEmpty { silentQueries[leased.id] = nil }
        if !measuringObservers.isEmpty, let use = age(of: leased.id, in: .leased) {
            measured(.returned(useNanoseconds: use))
        }
        let needsReset = !leased.connection.isIdle || leased.connection.isInTransaction || hooks.reset != nil
        if leased.connection.isClosed {
            disconnected(leased.id, PostgresConnection.closedError)
            return
        }
        if hasLost, needsReset { losers.insert(leased.id) }
        noteRole(leased.id, leased.connection)
        apply { $0.release(leased.id, needsReset: needsReset, isOverdue: isOverdue, at: $1) }
    }

    func pin(_ id: ConnectionID) {
        apply { $0.pin(id, at: $1) }
    }

    /// The server replied on this connection after `took` nanoseconds; 0 if that says nothing.
    func recordReply(_ id: ConnectionID, took: Int64 = 0) {
        apply { $0.recordReply(id, took: took, at: $1) }
    }

    /// The query on this connection has been silent for longer than usual. `query` may be hedged.
    func silent(_ leased: Leased, hedging query: HedgedQuery?, answerBy: MonotonicTime = .distantFuture) {
        silentQueries[leased.id] = query
        let path = leased.connection.path
        apply { $0.silent(leased.id, canBeAbandoned: query != nil, answerBy: answerBy, path: path, at: $1) }
    }

    func classify(_ error: PostgresError) {
        apply { $0.classify(error, at: $1) }
    }

    func discard(_ id: ConnectionID, _ reason: SessionCloseReason, _ error: PostgresError? = nil) {
        apply { $0.discard(id, reason, error, at: $1) }
    }

    /// The session ended, and its socket is closed already.
    func disconnected(_ id: ConnectionID, _ error: PostgresError) {
        guard machine.slots.slot(id) != nil else { return }
        // Closing alone does not stop the statement at the server.
        hookTasks[id.index].take()?.cancel()
        connections[id.index]?.takeCancelRequest()?.send { _ in }
        connections[id.index]?.onEnd = nil
        connections[id.index] = nil
        silentQueries[id] = nil
        apply { $0.disconnected(id, error, at: $1) }
        subscriptions.sessionClosed(id)
    }

    func report(_ event: PoolEvent) {
        for observer in observers { observer.pool(self, did: event) }
        if case .healthChanged(_, .closed, _, _) = event { (observers, measuringObservers) = ([], []) }
    }

    // MARK: Performing

    func apply(_ input: (inout PoolMachine, MonotonicTime) -> Void) {
        input(&machine, loop.now)
        performActions()
    }

    /// Performs the machine's actions, in order.
    ///
    /// Performing an action may give the machine another input (a session that ends, an observer that checks out): the
    /// outermost call performs that input's actions after those before them. A nested call returns at once, so code that
    /// gives an input must not expect its actions to have been performed. The receiver of a grant may have stopped
    /// waiting by then (its query has ended), and must give the connection back.
    func performActions() {
        if isPerforming { return }
        isPerforming = true
        while let action = machine.nextAction() { perform(action) }
        isPerforming = false
        armTimer()
    }

    private func perform(_ action: PoolMachine.Action) {
        switch action {
        case .connect(let id): connect(id)
        case .check(let id): check(id)
        case .reset(let id): reset(id)
        case .close(let id, let reason):
            hookTasks[id.index].take()?.cancel()
            if let attempt = attempts[id.index].take() {
                attempt.abandon { [weak self] in self?.apply { $0.closed(id, at: $1) } }
                return
            }
            let connection = connections[id.index]
            connections[id.index] = nil
            silentQueries[id] = nil
            losers.remove(id)
            connection?.onEnd = nil
            if let connection, connection.path != .lost { connection.cancelRequestForStatement?.send { _ in } }
            // A statement that made room was silent for too long, which is what its caller should read.
            if reason == .madeRoom, let connection { connection.end(connection.overdueError) }
            connection?.close()
            machine.closed(id, at: loop.now)
            subscriptions.sessionClosed(id)
        case .grant(let waiter, let id):
            guard let connection = connections[id.index], let entry = waiting[waiter.index].take() else { return }
            measured(.checkedOut(waitNanoseconds: loop.now.nanoseconds - entry.since.nanoseconds))
            entry.waiting.settle(.success(Leased(id: id, connection: connection)))
        case .fail(let waiter, let error):
            guard let entry = waiting[waiter.index].take() else { return }
            measured(loop.now >= entry.deadline ? .timedOut : .refused(error.kind))
            entry.waiting.settle(.failure(error))
        case .hedge(let id): silentQueries[id]?.startHedge()
        case .report(let event):
            if case .healthChanged(_, .closed, _, _) = event {
                for continuation in whenClosed { continuation.resume() }
                whenClosed.removeAll()
            }
            if case .healthChanged(_, let state, _, _) = event { subscriptions.stateChanged(to: state) }
            report(event)
        }
    }

    private func check(_ id: ConnectionID) {
        guard let connection = connections[id.index] else { return }
        if let error = connection.checkForEnd() {
            disconnected(id, error)
            return
        }
        let check = SessionCheck { [weak self] result in
            guard let self else { return }
            if case .failure(let error) = result, connection.isClosed {
                disconnected(id, error)
            } else {
                updateRole()
                noteRole(id, connection)
                apply { $0.checked(id, took: connection.latestAnswerNanoseconds, at: $1) }
            }
        }
        connection.start(
            .roundTrip, deadline: loop.now + patience, silence: machine.checkLimit, client: check)
    }

    /// Ends an abandoned query, then rolls back an open transaction, then does what the hooks ask for.
    private func reset(_ id: ConnectionID) {
        let hasLost = losers.remove(id) != nil
        guard let connection = connections[id.index] else { return }
        let next: PostgresConnection.Completion = { [weak self] result in
            guard let self else { return }
            if case .failure(let error) = result, connection.isClosed {
                disconnected(id, error)
            } else if connection.isInTransaction {
                discard(id, .resetFailed)
            } else {
                cleanUp(id, connection)
            }
        }
        let rollBack = { @LoopActor [weak self] in
            guard let self else { return }
            connection.start(Statement("rollback"), deadline: loop.now + patience, completion: next)
        }
        if connection.isIdle {
            if connection.isInTransaction { rollBack() } else { cleanUp(id, connection) }
        } else {
            AbandonedStatement(on: connection, patience: patience) { result in
                if connection.isInTransaction { rollBack() } else { next(result) }
            }.begin(after: hasLost ? settings.silenceTimeout : .zero)
        }
    }

    private func armTimer() {
        let deadline = machine.nextDeadline()
        guard timer.needsRearm(for: deadline) else { return }
        timer.set(for: deadline) { [weak self] in
            guard let self else { return }
            timer.fired()
            if machine.state.isProbing, let hindrance = hindranceOfConnects {
                apply { $0.heldUp(hindrance, at: $1) }
            }
            apply { $0.tick(at: $1) }
        }
    }
}
