internal import DispatchLoop
internal import DispatchPostgres
internal import PostgresSession

/// The client's part on the event loop.
///
/// ```
///   created ── run() ──▶ running ── cancelled, shutDown() ──▶ stopping ── drained ──▶ stopped
///      └──────────────── shutDown() ───────────────────────────────────────────────────▲
/// ```
@LoopActor
final class ClientCore {
    private enum State {
        case created
        case running(PostgresPool)
        case stopping(PostgresPool)
        case stopped
    }

    private nonisolated let configuration: ConnectionConfiguration
    nonisolated let settings: PostgresClient.Settings
    private nonisolated let observers: @Sendable @LoopActor () -> [any PoolObserver]
    private nonisolated let hooks: ClientHooks
    private var state = State.created
    private let gate = StartGate()
    private var stopWaiters: [CheckedContinuation<Void, Never>] = []
    /// Session parameters cannot be pinned: a pooler in between ignores them.
    private var cannotPin = false

    nonisolated init(
        _ configuration: ConnectionConfiguration, settings: PostgresClient.Settings,
        observers: @escaping @Sendable @LoopActor () -> [any PoolObserver]
    ) {
        self.configuration = configuration
        self.settings = settings
        self.observers = observers
        hooks = ClientHooks(settings)
    }

    // MARK: Lifecycle

    func run() async {
        if case .created = state {
            let pool = PostgresPool(
                configuration, settings: settings.pool, hooks: hooks.forPool, observers: observers())
            state = .running(pool)
            pool.start()
            gate.open()
        }
        await withTaskCancellationHandler { @LoopActor in
            await withCheckedContinuation { continuation in
                guard case .running = state else { return continuation.resume() }
                stopWaiters.append(continuation)
                if Task.isCancelled { stop() }
            }
        } onCancel: {
            EventLoop.shared.submit { self.stop() }
        }
        await drain()
    }

    func shutDown() async {
        stop()
        await drain()
    }

    private func stop() {
        switch state {
        case .created: state = .stopped
        case .running(let pool): state = .stopping(pool)
        case .stopping, .stopped: break
        }
        gate.open()
        for waiter in stopWaiters { waiter.resume() }
        stopWaiters = []
    }

    private func drain() async {
        guard case .stopping(let pool) = state else { return }
        await pool.close(deadline: .now() + settings.shutdownGrace)
        state = .stopped
    }

    /// How many statements wait for the start; for tests.
    var waitingForStart: Int { gate.count }

    var databaseState: DatabaseState {
        switch state {
        case .created: .suspect
        case .running(let pool), .stopping(let pool): pool.snapshot.health
        case .stopped: .closed
        }
    }

    // MARK: Work

    /// The pool, once started.
    private func pool(by deadline: MonotonicTime) async throws -> PostgresPool {
        if case .created = state { try await gate.wait(until: deadline) }
        switch state {
        case .running(let pool), .stopping(let pool): return pool
        case .created, .stopped: throw PoolError(kind: .closed, health: .closed)
        }
    }

    func query(_ statement: Statement, isIdempotent: Bool, deadline: MonotonicTime) async throws -> QueryResult {
        let pool: PostgresPool
        // Inline: a call would cost each query a task frame.
        if case .running(let running) = state { pool = running } else { pool = try await self.pool(by: deadline) }
        let begin = EventLoop.shared.now
        let connection: PooledConnection
        do { connection = try await pool.checkOut(deadline: deadline) } catch {
            hooks.gotNoConnection(statement, error, after: .now() - begin)
            throw error
        }
        do {
            let result = try await connection.run(statement, isIdempotent: isIdempotent, deadline: deadline)
            if hasChangedParameters(connection) { try await restoreParameters(of: connection) }
            pool.release(connection)
            return result
        } catch {
            pool.release(connection)
            throw error
        }
    }

    func lease(
        deadline: MonotonicTime, bound: MonotonicTime, _ place: SourcePlace
    ) async throws(PoolError) -> LeasedSession {
        do {
            let pool = try await pool(by: deadline)
            let connection = try await pool.checkOut(deadline: deadline)
            return LeasedSession(connection, of: pool, core: self, bound: bound, place)
        } catch {
            throw error as? PoolError ?? PoolError(kind: .cancelled, health: databaseState)
        }
    }

    func subscribe(to channel: String, deadline: MonotonicTime) async throws -> Subscription {
        try await pool(by: deadline).subscribe(to: channel)
    }

    // MARK: Session parameters

    /// Whether a statement has changed a parameter that determines how values are written, for those that the server
    /// reports.
    func hasChangedParameters(_ connection: PooledConnection) -> Bool {
        guard settings.pinsSessionParameters, !cannotPin, !connection.isInTransaction else { return false }
        return !SessionParameters.arePinned(connection)
    }

    /// Puts the parameters back, so that the next lease finds what the log-in set.
    func restoreParameters(of connection: PooledConnection) async throws {
        let wasUTF8 = SessionParameters.isUTF8(connection)
        let deadline = MonotonicTime.now() + settings.timeout
        // A task of its own is not cancelled with the caller's.
        let result = await Task {
            try await connection.run(SessionParameters.reset, isIdempotent: false, deadline: deadline)
        }.result
        if case .success = result, !SessionParameters.arePinned(connection) { cannotPin = true }
        if !wasUTF8 { throw SessionParameters.encodingError }
    }
}
