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

    /// The closure that has the lease has ended.
    private var hasEnded = false
    /// The number of the open transaction of this client; `nil` without one. Counted from 1 in each lease.
    var transaction: Int?
    var transactions = 0
    var isInTransaction: Bool { transaction != nil }
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

    /// Checks that the lease, and the transaction of this number, have not ended.
    func checkScope(_ transaction: Int?) throws(PostgresClientError) {
        if hasEnded {
            throw PostgresClientError(
                .misuse, isSafeToRetry: false, text: "the connection is used after its closure has ended")
        }
        if let transaction, transaction != self.transaction {
            throw PostgresClientError(
                .misuse, isSafeToRetry: false, text: "the transaction is used after its closure has ended")
        }
    }

    /// Runs a statement of the caller's; in the transaction of this number, if there is one.
    func query(
        _ statement: Statement, isIdempotent: Bool, in transaction: Int?, deadline: MonotonicTime
    ) async throws(PostgresClientError) -> QueryResult {
        try checkScope(transaction)
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
        hasEnded = true
        if core.hasChangedParameters(connection) { try? await core.restoreParameters(of: connection) }
        pool.release(connection)
    }
}
