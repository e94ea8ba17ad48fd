internal import DispatchLoop
internal import DispatchPostgres
internal import PostgresSession

/// A connection of the pool for the duration of a closure: what lease and transaction share, on the loop.
@LoopActor
final class LeasedSession {
    let connection: PooledConnection
    private let pool: PostgresPool
    private let core: ClientCore
    /// No statement may take longer.
    nonisolated let bound: MonotonicTime
    nonisolated let timeout: Duration
    nonisolated let retry: TransactionRetry
    private var timer: TimerID?

    /// Whether a transaction of this client is open.
    var isInTransaction = false
    /// No statement of the transaction may take longer, COMMIT aside.
    var transactionBound = MonotonicTime.distantFuture
    /// The first failure in the transaction, or since the savepoint that it was rolled back to.
    var failure: PostgresClientError?
    /// How many savepoints the session has had.
    var savepoints = 0

    init(
        _ connection: PooledConnection, of pool: PostgresPool, core: ClientCore, bound: MonotonicTime,
        _ place: SourcePlace
    ) {
        self.connection = connection
        self.pool = pool
        self.core = core
        self.bound = bound
        timeout = core.settings.timeout
        retry = core.settings.transactionRetry
        watch(place)
    }

    /// Tells of the lease when it lasts for long.
    private func watch(_ place: SourcePlace) {
        guard let limit = core.settings.leaseWarning, let tell = core.settings.onLongLease else { return }
        let begin = EventLoop.shared.now
        timer = EventLoop.shared.schedule(at: begin + limit) { [weak self] in
            guard let self else { return }
            timer = nil
            let lease = PostgresClient.LongLease(
                file: "\(place.file)", line: place.line, duration: EventLoop.shared.now - begin,
                backendProcessID: connection.backendProcessID)
            // Not on the loop: others' code may take its time.
            Task.detached { tell(lease) }
        }
    }

    /// Runs a statement of the caller's.
    func query(
        _ statement: Statement, isIdempotent: Bool, deadline: MonotonicTime
    ) async throws(PostgresClientError) -> QueryResult {
        do {
            let limit = min(deadline, bound, transactionBound)
            let result = try await connection.run(statement, isIdempotent: isIdempotent, deadline: limit)
            guard SessionParameters.isUTF8(connection) || !core.settings.pinsSessionParameters else {
                try await core.restoreParameters(of: connection)
                return result
            }
            return result
        } catch {
            let error = PostgresClientError(error, isIdempotent: isIdempotent, isInTransaction: isInTransaction)
            if isInTransaction, failure == nil { failure = error }
            throw error
        }
    }

    /// Gives the connection back. The pool rolls an open transaction back.
    func end() async {
        if let timer { EventLoop.shared.cancel(timer) }
        timer = nil
        if core.hasChangedParameters(connection) { try? await core.restoreParameters(of: connection) }
        pool.release(connection)
    }
}
