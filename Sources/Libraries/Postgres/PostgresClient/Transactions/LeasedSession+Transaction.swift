internal import DispatchLoop
internal import DispatchPostgres
internal import PostgresSession

/// The transaction of a leased session.
///
/// ```
///   none ── begin ──▶ open ── commit ── COMMIT ──▶ none
///                      │ │      ├── ROLLBACK: a statement had failed ──▶ none, rolledBack
///                      │ │      ├── rejected (a deferred constraint, 40001) ──▶ none
///                      │ │      └── no answer ──▶ none, outcomeUnknown
///                      │ └─ rollBack ──▶ none
///                      └─ session lost ──▶ none: the server rolls back
/// ```
extension LeasedSession {
    /// Begins, and returns the transaction's number. On a session without earlier statements BEGIN may move to another one, which then has the transaction: it
    /// does nothing that could be done twice. Later statements stay.
    func begin(
        _ mode: TransactionMode, deadline: MonotonicTime, bound transactionBound: MonotonicTime
    ) async throws(PostgresClientError) -> Int {
        try checkScope(nil)
        guard !connection.isInTransaction, !isInTransaction else {
            throw PostgresClientError(
                .misuse, isSafeToRetry: false,
                text: "a transaction is open on this connection; use withSavepoint inside it")
        }
        do {
            _ = try await connection.run(Statement(mode.begin), isIdempotent: true, deadline: min(deadline, bound))
        } catch {
            throw PostgresClientError(error, isIdempotent: true)
        }
        transactions += 1
        transaction = transactions
        failure = nil
        self.transactionBound = transactionBound
        return transactions
    }

    /// Commits, whether or not the caller's task is cancelled meanwhile: otherwise the outcome would be unknown.
    func commit() async throws(PostgresClientError) {
        let (failure, bound) = (failure, min(bound, transactionBound))
        ended()
        guard connection.backendProcessID != nil else {
            // Lost, so the server has rolled back, and the body did not throw the error.
            throw failure
                ?? PostgresClientError(
                    .connectionLost, cause: connection.lossCause, isSafeToRetry: true)
        }
        guard connection.isInTransaction else {
            throw PostgresClientError(
                .misuse, isSafeToRetry: false, text: "the transaction was ended by a statement of its own body")
        }
        if bound <= .now() {
            await rollBackNow()
            throw PostgresClientError(
                .timedOut, isSafeToRetry: true, text: "the deadline passed before COMMIT; rolled back")
        }
        let deadline = MonotonicTime.now() + timeout
        let answer = await Task { [connection] in
            try await connection.run(Statement("commit"), isIdempotent: false, deadline: deadline).command
        }.result
        switch answer {
        case .success("ROLLBACK"):
            throw PostgresClientError(
                .rolledBack, cause: failure?.cause,
                isSafeToRetry: failure?.cause?.isUndoneForPassingReason ?? false)
        case .success: return
        case .failure(let error): throw Self.commitError(error)
        }
    }

    /// What a failure of COMMIT says about the transaction.
    nonisolated static func commitError(_ error: any Error) -> PostgresClientError {
        guard let cause = error as? PostgresError, !cause.wasNeverSent else {
            // Never sent: the server rolls back.
            return PostgresClientError(error, isIdempotent: false, isInTransaction: true)
        }
        let isUnknown =
            cause.endsSession || cause.code == PostgresError.Code.queryTimeout
            || [.statementCompletionUnknown, SQLState(rawValue: "08007")].contains(cause.sqlState)
        if isUnknown { return PostgresClientError(.outcomeUnknown, cause: cause, isSafeToRetry: false) }
        return PostgresClientError(cause, isIdempotent: false)
    }

    /// Rolls back. Returns the transaction's first failure.
    func rollBack() async -> PostgresClientError? {
        let failure = failure
        ended()
        await rollBackNow()
        return failure
    }

    private func ended() {
        transaction = nil
        failure = nil
        transactionBound = .distantFuture
    }

    /// In a task of its own, which is not cancelled with the caller's. If it fails, the pool does it after the lease.
    private func rollBackNow() async {
        guard connection.isInTransaction else { return }
        let deadline = MonotonicTime.now() + timeout
        _ = await Task { [connection] in
            try await connection.run(Statement("rollback"), isIdempotent: false, deadline: deadline)
        }.result
    }

    // MARK: Savepoints

    /// Sets a savepoint. Returns its name.
    func setSavepoint(in transaction: Int) async throws(PostgresClientError) -> String {
        savepoints += 1
        let name = "client_savepoint_\(savepoints)"
        _ = try await query(
            Statement("savepoint \(name)"), isIdempotent: false, in: transaction, deadline: .now() + timeout)
        return name
    }

    /// Keeps what was done since the savepoint, unless a statement has failed.
    func release(_ savepoint: String, in transaction: Int) async throws(PostgresClientError) {
        if let failure {
            await rollBack(to: savepoint)
            throw PostgresClientError(
                .rolledBack, cause: failure.cause, isSafeToRetry: failure.cause?.isUndoneForPassingReason ?? false)
        }
        _ = try await query(
            Statement("release savepoint \(savepoint)"), isIdempotent: false, in: transaction,
            deadline: .now() + timeout)
    }

    /// Undoes what was done since the savepoint. If that fails, the transaction stays failed.
    func rollBack(to savepoint: String) async {
        guard connection.isInTransaction else { return }
        let deadline = MonotonicTime.now() + timeout
        let statement = Statement("rollback to savepoint \(savepoint); release savepoint \(savepoint)")
        let result = await Task { [connection] in
            try await connection.run(statement, isIdempotent: false, deadline: deadline)
        }.result
        if case .success = result { failure = nil }
    }
}
