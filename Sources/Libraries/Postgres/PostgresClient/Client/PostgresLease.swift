internal import DispatchLoop

/// A connection for the duration of a closure.
///
/// It cannot be copied or stored, so that it cannot be used after the closure has ended, nor by two tasks at once: both are
/// compile errors. Functions take it as `borrowing`:
///
/// ```swift
/// func balance(of name: String, on connection: borrowing PostgresLease) async throws -> Int {
///     try await connection.query("select balance from accounts where name = \(name)").decodeOne(Int.self)
/// }
/// ```
public struct PostgresLease: ~Copyable, Sendable {
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
        try await session.rows(statement, isIdempotent: isIdempotent, timeout, deadline)
    }
}

extension LeasedSession {
    /// Runs a statement of the caller's; encodes it in the caller's isolation.
    nonisolated func rows(
        _ statement: SQLStatement, isIdempotent: Bool, _ timeout: Duration?, _ deadline: ContinuousClock.Instant?
    ) async throws(PostgresClientError) -> Rows {
        do {
            let encoded = try statement.encoded()
            return Rows(
                try await query(
                    encoded, isIdempotent: isIdempotent, deadline: Limit.of(timeout ?? self.timeout, deadline)))
        } catch {
            throw PostgresClientError(error, isIdempotent: false)
        }
    }
}
