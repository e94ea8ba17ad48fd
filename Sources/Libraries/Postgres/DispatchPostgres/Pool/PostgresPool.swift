public import DispatchLoop
public import PostgresSession

/// A pool of connections to one database that looks after itself: it keeps them alive, replaces them, and finds the
/// database again when it has been away.
///
/// ```swift
/// let pool = PostgresPool(ConnectionConfiguration("postgres://…"))
/// let connection = try await pool.checkOut(deadline: .now() + .seconds(1))
/// defer { pool.release(connection) }
/// let result = try await connection.query("select 1", isIdempotent: true, deadline: .now() + .seconds(1))
/// ```
///
/// What is decided is decided in `PoolMachine`; this is the shell that performs it. Connections are opened after
/// ``start()``, in the process that calls it, and belong to that process.
@LoopActor
public final class PostgresPool {
    /// Where the database is.
    public let configuration: ConnectionConfiguration
    /// How the pool behaves.
    public let settings: PoolSettings
    /// Hears of the pool's events.
    public weak var delegate: (any PoolDelegate)? { didSet { isObserved = delegate != nil } }
    /// Whether there was a delegate once; asked with each query, and cheaper than the weak reference.
    private(set) var isObserved = false

    /// How long a query begun now may be silent, in nanoseconds.
    // Put together here: asked of a class's property, the machine's own would be asked of a copy of the machine.
    var silenceLimit: Int64 { machine.answers.limit(floor: machine.silenceFloor) }

    /// How long a session may take for what is asked of it between two leases – an empty query, a rollback – where the way
    /// to the server is open: longer than a slow server takes.
    var patience: Duration { max(.seconds(1), .nanoseconds(2 * min(silenceLimit, Self.longestSilence))) }

    /// What a waiter is told. Not a `Result`: the error is large, and those who wait would have room for it several times.
    enum Answer {
        case success(Leased)
        indirect case failure(PoolError)

        func get() throws(PoolError) -> Leased {
            switch self {
            case .success(let leased): return leased
            case .failure(let error): throw error
            }
        }
    }

    /// A setting may ask for more; nothing that is waited for between two leases takes that long.
    private static let longestSilence = Duration.seconds(3_600).nanoseconds

    /// A connection and the name of its slot.
    struct Leased {
        let id: ConnectionID
        let connection: PostgresConnection
    }

    let loop = EventLoop.shared
    let forkMark = ForkDetector()
    let resolver: HostResolver
    let memory = ServerMemory()
    var machine: PoolMachine
    var connections: [PostgresConnection?]
    var attempts: [ConnectAttempt?]
    /// The slots that attempts have beside their own. An attempt that has some is alive.
    var borrowedSlots: [ObjectIdentifier: [ConnectionID]] = [:]
    /// The queries that are silent and may be hedged.
    private var silentQueries: [ConnectionID: HedgedQuery] = [:]
    /// By the waiters' indices.
    var waiting: [WaitingEntry?] = []
    /// Sessions that have lost a race and still run its query.
    private var losers: Set<ConnectionID> = []
    private var timer = DeadlineTimer()
    private var isPerforming = false
    private lazy var subscriptions = SubscriptionHub(pool: self)
    private var whenClosed: [CheckedContinuation<Void, Never>] = []

    /// A pool that has not been started.
    ///
    /// - Precondition: `settings.problem` is `nil`.
    public convenience init(_ configuration: ConnectionConfiguration, settings: PoolSettings = PoolSettings()) {
        self.init(configuration, settings: settings, resolver: .shared)
    }

    package init(_ configuration: ConnectionConfiguration, settings: PoolSettings, resolver: HostResolver) {
        precondition(settings.problem == nil, settings.problem ?? "")
        self.configuration = configuration
        self.settings = settings
        self.resolver = resolver
        connections = Array(repeating: nil, count: settings.maximum)
        attempts = Array(repeating: nil, count: settings.maximum)
        machine = PoolMachine(
            settings: settings, requiresReadWrite: configuration.requiresReadWrite, seed: .random(in: 0 ... .max))
    }

    // MARK: Life

    /// Begins to connect. A database that is away is no error: the pool looks for it until it is there.
    public func start() {
        apply { $0.start(at: $1) }
    }

    /// Closes the pool: no more check-outs, idle connections closed now, leased ones when they come home, all that is
    /// left at the deadline. Returns when no connection is open.
    public func close(deadline: MonotonicTime) async {
        subscriptions.close()
        apply { $0.drain(at: $1, deadline: deadline) }
        await withCheckedContinuation { continuation in
            // Asked here and not before: an `await` may let others run.
            if machine.health == .closed { continuation.resume() } else { whenClosed.append(continuation) }
        }
    }

    /// Replaces all connections, one after the other, each when its successor has proved itself; leased ones when they come
    /// home.
    public func replaceConnections() {
        apply { $0.replaceAll(at: $1) }
    }

    /// What the pool knows and holds at this moment.
    public var snapshot: PoolSnapshot {
        learnRole()
        return PoolSnapshot(machine, at: loop.now)
    }

    /// The connection that was heard of last knows best what the server is.
    func learnRole() {
        var latest: PostgresConnection?
        for (slot, connection) in zip(machine.slots.slots, connections) where slot.generation == machine.generation {
            guard let connection, connection.lastReplyAt > latest?.lastReplyAt ?? MonotonicTime(nanoseconds: .min)
            else {
                continue
            }
            latest = connection
        }
        if let latest { machine.role = latest.serverRole }
    }

    /// Listens on a channel (`LISTEN`), from now until the subscription is dropped or the pool is closed. All
    /// subscriptions of a pool share one of its connections.
    ///
    /// - Throws: ``PostgresError`` when no channel can have that name.
    public func subscribe(to channel: String) throws(PostgresError) -> Subscription {
        try subscriptions.subscribe(to: channel)
    }

    /// Counts how often the pool has retired its connections.
    var generation: UInt32 { machine.generation }

    // MARK: What leases report

    /// `isOverdue`: its query ran into the deadline, and the server may still be at it. `hasLost`: another session was quicker
    /// with the same query; this one may well answer in a moment.
    func giveBack(_ leased: Leased, isOverdue: Bool = false, hasLost: Bool = false) {
        if !silentQueries.isEmpty { silentQueries[leased.id] = nil }
        if isObserved, let use = age(of: leased.id, in: .leased) { measured(.returned(useNanoseconds: use)) }
        let needsReset = !leased.connection.isIdle || leased.connection.isInTransaction
        if leased.connection.isClosed {
            ended(leased.id, PostgresConnection.closedError)
            return
        }
        if hasLost, needsReset { losers.insert(leased.id) }
        apply { $0.release(leased.id, needsReset: needsReset, isOverdue: isOverdue, at: $1) }
    }

    func pin(_ id: ConnectionID) {
        apply { $0.pin(id, at: $1) }
    }

    /// The server answered on this connection, after so many nanoseconds; 0 where that says nothing.
    func recordReply(_ id: ConnectionID, took: Int64 = 0) {
        apply { $0.recordReply(id, took: took, at: $1) }
    }

    /// The query on this connection has been silent for long. `query` is told when it may be hedged.
    func silent(_ leased: Leased, hedging query: HedgedQuery?, answerBy: MonotonicTime = .distantFuture) {
        silentQueries[leased.id] = query
        let path = leased.connection.path
        apply { $0.silent(leased.id, canBeAbandoned: query != nil, answerBy: answerBy, path: path, at: $1) }
    }

    func classify(_ error: PostgresError) {
        apply { $0.classify(error, at: $1) }
    }

    func discard(_ id: ConnectionID, _ reason: SessionCloseReason) {
        apply { $0.discard(id, reason, at: $1) }
    }

    /// The session ended, and its socket is closed already.
    func ended(_ id: ConnectionID, _ error: PostgresError) {
        guard machine.slots.slot(id) != nil else { return }
        // Closing alone does not stop what the server is at.
        connections[id.index]?.takeCancelRequest()?.send { _ in }
        connections[id.index]?.onEnd = nil
        connections[id.index] = nil
        silentQueries[id] = nil
        apply { $0.ended(id, error, at: $1) }
        subscriptions.connectionEnded(id)
    }

    func report(_ event: PoolEvent) {
        delegate?.pool(self, did: event)
    }

    // MARK: Performing

    func apply(_ input: (inout PoolMachine, MonotonicTime) -> Void) {
        input(&machine, loop.now)
        performActions()
    }

    /// Performs what the machine has decided, in order. What that leads to is appended and performed here as well.
    func performActions() {
        if isPerforming { return }
        isPerforming = true
        var next = 0
        while next < machine.actions.count {
            let action = machine.actions[next]
            next += 1
            perform(action)
        }
        if next > 0 { machine.actions.removeAll(keepingCapacity: true) }
        machine.waiters.recycle()
        isPerforming = false
        armTimer()
    }

    private func perform(_ action: PoolMachine.Action) {
        switch action {
        case .connect(let id): connect(id)
        case .check(let id): check(id)
        case .reset(let id): reset(id)
        case .close(let id, _):
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
            connection?.close()
            machine.closed(id, at: loop.now)
            subscriptions.connectionEnded(id)
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
            if case .healthChanged(_, let health, _, _) = event { subscriptions.healthChanged(to: health) }
            report(event)
        }
    }

    private func check(_ id: ConnectionID) {
        guard let connection = connections[id.index] else { return }
        if let error = connection.checkForEnd() {
            ended(id, error)
            return
        }
        let check = SessionCheck { [weak self] result in
            guard let self else { return }
            if case .failure(let error) = result, connection.isClosed {
                ended(id, error)
            } else {
                learnRole()
                apply { $0.checked(id, took: connection.latestAnswerNanoseconds, at: $1) }
            }
        }
        connection.start(
            .roundTrip, deadline: loop.now + patience, silence: machine.checkLimit, client: check)
    }

    /// Ends a query that nobody wants any more, then rolls back what is open.
    private func reset(_ id: ConnectionID) {
        let hasLost = losers.remove(id) != nil
        guard let connection = connections[id.index] else { return }
        let next: PostgresConnection.Completion = { [weak self] result in
            guard let self else { return }
            if case .failure(let error) = result, connection.isClosed {
                ended(id, error)
            } else if connection.isInTransaction {
                discard(id, .resetFailed)
            } else {
                apply { $0.wasReset(id, at: $1) }
            }
        }
        let rollBack = { @LoopActor [weak self] in
            guard let self else { return }
            connection.start(Statement("rollback"), deadline: loop.now + patience, completion: next)
        }
        if connection.isIdle {
            rollBack()
        } else {
            AbandonedStatement(on: connection, patience: patience) { result in
                if connection.isInTransaction { rollBack() } else { next(result) }
            }.begin(after: hasLost ? settings.silenceTimeout : .zero)
        }
    }

    private func armTimer() {
        let deadline = machine.nextDeadline
        guard timer.needsRearm(for: deadline) else { return }
        timer.set(for: deadline) { [weak self] in
            guard let self else { return }
            timer.fired()
            if machine.outage != nil, let hindrance = attempts.lazy.compactMap({ $0?.hindrance }).first {
                apply { $0.heldUp(hindrance, at: $1) }
            }
            apply { $0.tick(at: $1) }
        }
    }
}
