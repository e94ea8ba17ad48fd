internal import DispatchLoop
internal import DispatchPostgres
internal import PostgresSession

/// A connection that was just opened, for ``PostgresClient/Settings/onConnect``. It cannot leave the closure.
public struct PostgresNewConnection: ~Copyable, Sendable {
    private let connection: PostgresConnection
    private let settings: PostgresClient.Settings

    init(_ connection: PostgresConnection, _ settings: PostgresClient.Settings) {
        self.connection = connection
        self.settings = settings
    }

    /// The process id of the backend, as in `pg_stat_activity`.
    public var backendProcessID: Int32 { connection.backendProcessID }

    /// Runs a statement. It runs on this connection and no other: nothing moves or repeats it.
    ///
    /// - Parameters:
    ///   - statement: the statement and its parameters.
    ///   - timeout: how long it may take; by default ``PostgresClient/Settings/timeout``. Then the connection is closed.
    /// - Throws: ``PostgresClientError``.
    public func query(
        _ statement: SQLStatement, timeout: Duration? = nil
    ) async throws(PostgresClientError) -> Rows {
        do {
            let encoded = try statement.encoded()
            return Rows(try await connection.result(of: encoded, within: timeout ?? settings.timeout))
        } catch {
            throw PostgresClientError(error, isIdempotent: false)
        }
    }
}

extension PostgresConnection {
    /// Runs a statement on this session. Every statement ends, with its session if need be.
    func result(of statement: Statement, within timeout: Duration) async throws(PostgresError) -> QueryResult {
        let result = await withCheckedContinuation { continuation in
            start(statement, deadline: .now() + timeout) { continuation.resume(returning: $0) }
        }
        return try result.get()
    }
}

extension PostgresClient.Settings {
    /// Runs ``onConnect`` on a session.
    ///
    /// - Throws: the error to fail the connect with: `PostgresError` where the hook threw a client's.
    func setUp(_ connection: PostgresConnection) async throws {
        guard let onConnect else { return }
        do {
            try await onConnect(PostgresNewConnection(connection, self))
        } catch let error as PostgresClientError {
            throw error.cause ?? error
        }
        guard pinsSessionParameters, await !SessionParameters.arePinned(connection) else { return }
        _ = try await connection.result(of: SessionParameters.reset, within: timeout)
    }
}
