public import DispatchLoop

extension PostgresConnection {
    /// Connects to the first server of the configuration that takes the session.
    ///
    /// Looking up names happens off the loop and counts against the deadline.
    /// - Throws: the failure that says most, when no server takes it before the deadline.
    public static func connect(
        _ configuration: ConnectionConfiguration, deadline: MonotonicTime
    ) async throws(PostgresError) -> PostgresConnection {
        let result: Result<PostgresConnection, PostgresError> = await withCheckedContinuation { continuation in
            ConnectAttempt(configuration, limits: .within(deadline), client: UnlimitedSockets.shared) {
                continuation.resume(returning: $0)
            }.start()
        }
        return try result.get()
    }

    /// Runs a statement and returns its result.
    ///
    /// - Parameters:
    ///   - sql: one statement; several, separated by semicolons, when there are no parameters and it is not prepared (the
    ///     last one's result is returned).
    ///   - parameters: the values of `$1`, `$2` …, as text; `nil` is NULL.
    ///   - isPrepared: whether the session keeps the statement prepared for its next use, which costs a little
    ///     more the first time and less each time after. A session keeps 64 statements; more are sent as text.
    ///   - deadline: when to give up.
    /// - Throws: the server's error; or that of the connection, which is closed then. When the task is cancelled, the
    ///   session is closed as well, because the statement may be running.
    public func query(
        _ sql: String, parameters: [String?] = [], isPrepared: Bool = false, deadline: MonotonicTime
    ) async throws(PostgresError) -> QueryResult {
        let statement = try Statement(sql, parameters: parameters, isPrepared: isPrepared)
        let result: Result<QueryResult, PostgresError> = await withTaskCancellationHandler { @LoopActor in
            await withCheckedContinuation { continuation in
                start(statement, deadline: deadline) { continuation.resume(returning: $0) }
                if Task.isCancelled { abandonStatement() }
            }
        } onCancel: {
            EventLoop.shared.submit { self.abandonStatement() }
        }
        // Closing alone does not stop what the server is at.
        if isClosed { takeCancelRequest()?.send { _ in } }
        return try result.get()
    }
}

/// Whoever connects once, and not as part of a pool, may try several addresses side by side.
private final class UnlimitedSockets: ConnectAttemptClient {
    static let shared = UnlimitedSockets()
    func attemptMayOpenAnotherSocket(_ attempt: ConnectAttempt) -> Bool { true }
    func attemptClosedExtraSocket(_ attempt: ConnectAttempt) {}
    func attemptProgressed(_ attempt: ConnectAttempt, isAnswer: Bool) {}
    func attemptLostServer(_ attempt: ConnectAttempt) {}
}
