internal import DispatchLoop
public import DispatchPostgres
public import PostgresSession

/// A client of one PostgreSQL database, for all tasks of a process.
///
/// ```swift
/// let client = PostgresClient(ConnectionConfiguration("postgres://…"))
/// try await withThrowingTaskGroup { group in
///     group.addTask { await client.run() }
///     let rows = try await client.query("select name from users where id = \(id)", isIdempotent: true)
///     …
///     group.cancelAll()
/// }
/// ```
///
/// It keeps a pool of connections, replaces those that end, and reconnects after an outage. Its methods can be called from
/// every isolation; closures run in the caller's. What is read from a result is decoded there, too.
public final class PostgresClient: Sendable {
    /// How to connect to the database.
    public let configuration: ConnectionConfiguration
    /// How the client behaves.
    public let settings: Settings
    let core: ClientCore

    /// Creates a client; ``run()`` starts it. Statements before that wait for it, up to their timeout.
    ///
    /// - Parameters:
    ///   - configuration: how to connect to the database.
    ///   - settings: how the client behaves.
    ///   - observers: creates what receives the pool's events, for metrics; `DispatchPostgresMetrics` has one.
    /// - Precondition: `settings.problem` is `nil`.
    public init(
        _ configuration: ConnectionConfiguration, settings: Settings = Settings(),
        observers: @escaping @Sendable @LoopActor () -> [any PoolObserver] = { [] }
    ) {
        precondition(settings.problem == nil, settings.problem ?? "")
        var configuration = configuration
        if settings.pinsSessionParameters { configuration.pin(SessionParameters.pinned) }
        self.configuration = configuration
        self.settings = settings
        core = ClientCore(configuration, settings: settings, observers: observers)
    }

    /// Runs the client until the task is cancelled, or ``shutDown()`` is called: connects, and keeps connections alive.
    /// Then refuses new work, waits for the connections in use, for ``Settings/shutdownGrace`` at most, and returns when
    /// none is open. An unreachable database is not an error: the client searches until it answers.
    ///
    /// For a task group, or as a `Service` of swift-service-lifecycle:
    ///
    /// ```swift
    /// extension PostgresClient: @retroactive Service {}
    /// ```
    public func run() async { await core.run() }

    /// Ends ``run()`` as cancellation does, and returns when it returns. A client is not started again.
    public func shutDown() async { await core.shutDown() }

    /// How the database is.
    public var databaseState: DatabaseState { get async { await core.databaseState } }

    /// Runs a statement on a connection of the pool.
    ///
    /// - Parameters:
    ///   - statement: the statement and its parameters.
    ///   - isIdempotent: whether running it twice does no harm. The client then runs it again on another connection when
    ///     its own is lost or stalls, so that most outages are a delay and no error.
    ///   - timeout: how long it may take, the wait for a connection included; by default ``Settings/timeout``.
    ///   - deadline: until when it may take; the earlier of both counts.
    /// - Throws: ``PostgresClientError``.
    public func query(
        _ statement: SQLStatement, isIdempotent: Bool = false, timeout: Duration? = nil,
        deadline: ContinuousClock.Instant? = nil
    ) async throws(PostgresClientError) -> Rows {
        let limit = Limit.of(timeout ?? settings.timeout, deadline)
        do {
            return Rows(try await core.query(try statement.encoded(), isIdempotent: isIdempotent, deadline: limit))
        } catch {
            throw PostgresClientError(error, isIdempotent: isIdempotent)
        }
    }

    /// Runs `body` with one connection, for statements that share a session.
    ///
    /// - Parameters:
    ///   - timeout: how long to wait for a connection; by default ``Settings/timeout``. Statements have their own.
    ///   - deadline: until when `body`'s statements may take.
    ///   - file: the caller's file, for ``Settings/onLongLease``.
    ///   - line: the caller's line.
    ///   - body: runs in the caller's isolation. Its connection ends with it.
    /// - Throws: ``PostgresClientError``, and what `body` throws. An open transaction is rolled back.
    public func withConnection<Value>(
        timeout: Duration? = nil, deadline: ContinuousClock.Instant? = nil, file: StaticString = #fileID,
        line: UInt = #line, _ body: (PostgresLease) async throws -> Value
    ) async throws -> Value {
        let session = try await lease(timeout, deadline, SourcePlace(file: file, line: line))
        do {
            let value = try await body(PostgresLease(session))
            await session.end()
            return value
        } catch {
            await session.end()
            throw error
        }
    }

    /// Takes a session, which must be ended.
    func lease(
        _ timeout: Duration?, _ deadline: ContinuousClock.Instant?, _ place: SourcePlace
    ) async throws(PostgresClientError) -> LeasedSession {
        let limit = Limit.of(timeout ?? settings.timeout, deadline)
        let bound = Limit.of(nil, deadline)
        do {
            return try await core.lease(deadline: limit, bound: bound, place)
        } catch {
            throw PostgresClientError(error)
        }
    }

    /// Listens on a channel (`LISTEN`) until the subscription is dropped or the client is shut down. It outlives outages:
    /// it listens again, and says that notifications may have been lost.
    ///
    /// - Throws: ``PostgresClientError``, when the name cannot be a channel's, or the client is not started in time.
    public func subscribe(
        to channel: String, timeout: Duration? = nil
    ) async throws(PostgresClientError) -> Subscription {
        do {
            return try await core.subscribe(to: channel, deadline: Limit.of(timeout ?? settings.timeout, nil))
        } catch {
            throw PostgresClientError(error, isIdempotent: true)
        }
    }
}

/// Deadlines of callers, on the loop's clock.
enum Limit {
    /// The earlier one.
    static func of(_ timeout: Duration?, _ deadline: ContinuousClock.Instant?) -> MonotonicTime {
        var limit = MonotonicTime.distantFuture
        if let timeout { limit = .now() + timeout }
        if let deadline { limit = min(limit, .now() + (deadline - .now)) }
        return limit
    }
}
