internal import DispatchLoop

/// An open transaction, for the duration of a closure. For one task at a time, like ``PostgresLease``; its use after the
/// closure has ended is an error.
public final class PostgresTransaction: Sendable {
    let session: LeasedSession
    let number: Int

    init(_ session: LeasedSession, number: Int) {
        self.session = session
        self.number = number
    }

    /// Runs a statement in this transaction.
    ///
    /// A statement that fails aborts the transaction: the server then rejects further ones with 25P02, and the transaction
    /// cannot be committed, whether or not the error is caught. Use ``withSavepoint(_:)`` around one that may fail.
    ///
    /// - Parameters:
    ///   - statement: the statement and its parameters.
    ///   - timeout: how long it may take; by default ``PostgresClient/Settings/timeout``.
    ///   - deadline: until when it may take; the earlier of both counts, and of the transaction's.
    /// - Throws: ``PostgresClientError``. When the session is lost, the transaction is: it never goes on on another one.
    public func query(
        _ statement: SQLStatement, timeout: Duration? = nil, deadline: ContinuousClock.Instant? = nil
    ) async throws(PostgresClientError) -> Rows {
        try await session.rows(statement, isIdempotent: false, in: number, timeout, deadline)
    }

    /// Runs `body` within a savepoint. If it throws, what it did is rolled back, and the transaction can go on.
    ///
    /// - Throws: what `body` throws; ``PostgresClientError`` of kind `rolledBack` when a statement failed whose error `body`
    ///   did not throw.
    public func withSavepoint<Value>(
        _ body: (PostgresTransaction) async throws -> Value
    ) async throws -> Value {
        let savepoint = try await session.setSavepoint(in: number)
        let value: Value
        do {
            value = try await body(self)
            try Task.checkCancellation()
        } catch {
            await session.rollBack(to: savepoint)
            throw error
        }
        try await session.release(savepoint, in: number)
        return value
    }
}
