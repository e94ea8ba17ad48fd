import DequeModule
package import DispatchLoop
package import PostgresSession

/// A statement whose result is read in parts while it runs, or whose data is sent to it, on the connection of a lease.
/// The session is the lease's again when the statement has ended.
///
/// ```
///   running ── next() … nil, finish() ──▶ over: the session goes on
///      ├─ leave(): a cancel request; in a transaction the rest is read and dropped ──▶ over
///      └─ the server is silent for the timeout, or gone ──▶ over: the session is the pool's, or lost
/// ```
///
/// For one task at a time. Who starts it must end it, by reading to the end or by ``leave()``.
@LoopActor
package final class PartStream: StreamReceiver {
    /// Parts that are kept for a slow reader. Then the session reads no more, and the server waits.
    static let partLimit = 2

    private let pool: PostgresPool
    /// Present while the statement runs.
    private var leased: PostgresPool.Leased?
    private let ended: @LoopActor (Result<QueryResult, PostgresError>, PostgresPool.Leased?) -> Void
    private let isWriting: Bool
    /// A cancel request would abort the transaction that it began in.
    private let isInTransaction: Bool

    private var parts: Deque<StreamPart> = []
    /// The command tag, or the failure, once the statement has ended.
    package private(set) var outcome: Result<QueryResult, PostgresError>?
    private var canWrite = false
    /// The task that waits for the next part, for room, or for the end.
    private var waiter: PoolContinuation<Void>?

    /// - Parameters:
    ///   - isWriting: whether the statement is to be a `COPY … FROM STDIN`.
    ///   - ended: called once, with the session if it goes on.
    init(
        on leased: PostgresPool.Leased, of pool: PostgresPool, isWriting: Bool,
        ended: @escaping @LoopActor (Result<QueryResult, PostgresError>, PostgresPool.Leased?) -> Void
    ) {
        self.leased = leased
        self.pool = pool
        self.isWriting = isWriting
        isInTransaction = leased.connection.isInTransaction
        self.ended = ended
    }

    func start(_ statement: Statement, timeout: Duration) {
        leased?.connection.startStream(statement, timeout: timeout, silence: pool.silenceLimit, receiver: self)
    }

    // MARK: For the task

    /// The next part; `nil` at the end. The columns of a result without rows are in ``result``.
    /// - Throws: ``PostgresError``; `CANCELLED` when the task is cancelled.
    package func next() async throws(PostgresError) -> StreamPart? {
        while true {
            if let part = parts.popFirst() {
                leased?.connection.resumeStream()
                return part
            }
            if let outcome {
                _ = try outcome.get()
                return nil
            }
            try await wait()
        }
    }

    /// Sends data, once the server has taken what was sent before.
    /// - Throws: ``PostgresError``; `CANCELLED` when the task is cancelled.
    package func write(_ bytes: [UInt8]) async throws(PostgresError) {
        while !canWrite {
            if let outcome {
                _ = try outcome.get()
                throw Self.notWriting
            }
            try await wait()
        }
        guard let leased else { return }
        canWrite = leased.connection.send(copyData: bytes)
    }

    /// Ends the data, and waits for the server's result.
    package func finish() async throws(PostgresError) -> QueryResult {
        while !canWrite, outcome == nil { try await wait() }
        leased?.connection.endCopy()
        return try await end()
    }

    /// Waits for the end of a statement that was read, or whose data was ended.
    package func end() async throws(PostgresError) -> QueryResult {
        while true {
            if let outcome { return try outcome.get() }
            try await wait()
        }
    }

    /// Ends the statement early, whether or not the task is cancelled. Returns when the session can take another one, or
    /// has left the lease. In a transaction, which a cancel request would abort, what the server still sends is read and
    /// dropped. A `COPY … FROM STDIN` is undone.
    package func leave() async {
        parts = []
        guard outcome == nil, let leased else { return }
        if isInTransaction {
            leased.connection.discardStream()
        } else {
            // A COPY FROM STDIN ends by itself, when it finds no data; it may wait for a lock before that.
            AbandonedStatement(on: leased.connection, patience: pool.patience) { [self] result in
                finished(leased, result)
            }.begin(after: isWriting ? pool.patience : .zero)
        }
        while outcome == nil { await waitUncancelled() }
    }

    private func wait() async throws(PostgresError) {
        await withTaskCancellationHandler { @LoopActor in
            if Task.isCancelled { return }
            await waitUncancelled()
        } onCancel: {
            EventLoop.shared.submit { self.wake() }
        }
        if outcome == nil, parts.isEmpty, Task.isCancelled { throw Self.cancelled }
    }

    private func waitUncancelled() async {
        await withUnsafeContinuation { continuation in
            waiter?.resume()
            waiter = poolContinuation(continuation)
        }
    }

    private func wake() {
        waiter?.resume()
        waiter = nil
    }

    // MARK: For the session

    package func connection(_ connection: PostgresConnection, received part: StreamPart) -> Bool {
        if isWriting { return true }
        parts.append(part)
        wake()
        return parts.count < Self.partLimit
    }

    package func connectionTakesData(_ connection: PostgresConnection) {
        guard isWriting else { return connection.endCopy(failing: "no data was to be sent") }
        canWrite = true
        wake()
    }

    package func connection(_ connection: PostgresConnection, finished result: Result<QueryResult, PostgresError>) {
        guard let leased, leased.connection === connection else { return }
        finished(leased, result)
    }

    package func connectionIsSilent(_ connection: PostgresConnection) {
        guard let leased, leased.connection === connection else { return }
        pool.silent(leased, hedging: nil)
    }

    package func connectionIsOverdue(_ connection: PostgresConnection) -> Bool {
        guard let leased, leased.connection === connection else { return false }
        // Cleared first, because a session that the pool closes reports its end at once.
        self.leased = nil
        pool.giveBack(leased, isOverdue: true)
        settle(.failure(connection.overdueError), nil)
        return true
    }

    private func finished(_ leased: PostgresPool.Leased, _ result: Result<QueryResult, PostgresError>) {
        self.leased = nil
        if case .failure(let error) = result, leased.connection.isClosed {
            pool.disconnected(leased.id, error)
            return settle(result, nil)
        }
        // How long it took, its reader has decided.
        pool.recordReply(leased.id)
        settle(result, leased)
    }

    private func settle(_ result: Result<QueryResult, PostgresError>, _ leased: PostgresPool.Leased?) {
        outcome = result
        canWrite = false
        ended(result, leased)
        wake()
    }

    private static let cancelled = PostgresError(
        code: PostgresError.Code.cancelled, message: "the task was cancelled while its statement was running",
        disposition: .statement)
    private static let notWriting = PostgresError(
        code: SQLState.wrongObjectType.rawValue, message: "the statement takes no data; it is no COPY … FROM STDIN",
        disposition: .statement)
}
