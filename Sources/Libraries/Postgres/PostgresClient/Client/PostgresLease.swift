internal import DispatchLoop

/// A connection for the duration of a closure.
///
/// For one task at a time: a second statement at the same time is an error, and so is one after the closure has ended
/// (``PostgresClientError/Kind/misuse``). Functions take it as a parameter:
///
/// ```swift
/// func balance(of name: String, on connection: PostgresLease) async throws -> Int {
///     try await connection.query("select balance from accounts where name = \(name)").decodeOne(Int.self)
/// }
/// ```
public final class PostgresLease: Sendable {
    // Not `~Copyable`: with Swift 6.3, capturing a borrowed one in a task crashes the compiler instead of being an error,
    // and `#expect` cannot take one.

    let session: LeasedSession

    init(_ session: LeasedSession) { self.session = session }

    /// Runs a statement on this connection.
    ///
    /// - Parameters:
    ///   - statement: the statement and its parameters.
    ///   - isIdempotent: whether running it twice does no harm. The first statement of a lease, and only that, may then
    ///     move to another session.
    ///   - timeout: how long it may take; by default ``PostgresClient/Settings/timeout``.
    ///   - deadline: until when it may take; the earlier of both counts, and of the lease's.
    /// - Throws: ``PostgresClientError``. Once the session is lost, each statement throws why.
    public func query(
        _ statement: SQLStatement, isIdempotent: Bool = false, timeout: Duration? = nil,
        deadline: ContinuousClock.Instant? = nil
    ) async throws(PostgresClientError) -> Rows {
        try await session.rows(statement, isIdempotent: isIdempotent, in: nil, timeout, deadline)
    }
}

extension LeasedSession {
    /// Runs a statement of the caller's; encodes it in the caller's isolation.
    nonisolated func rows(
        _ statement: SQLStatement, isIdempotent: Bool, in transaction: Int?, _ timeout: Duration?,
        _ deadline: ContinuousClock.Instant?
    ) async throws(PostgresClientError) -> Rows {
        do {
            let encoded = try statement.encoded()
            return Rows(
                try await query(
                    encoded, isIdempotent: isIdempotent, in: transaction,
                    deadline: Limit.of(timeout ?? self.timeout, deadline)))
        } catch {
            throw PostgresClientError(error, isIdempotent: false)
        }
    }
}
