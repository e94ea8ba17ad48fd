internal import CLibPQ

extension PostgresError {
    /// A connection that failed in another way than those with a code of their own.
    static func connectionFailed(_ message: String) -> PostgresError {
        PostgresError(code: Code.connection, message: message, disposition: .outage)
    }
}

// Errors of a session that is closed, busy or too slow.
extension PostgresConnection {
    package static let closedError = PostgresError(
        code: PostgresError.Code.closed, message: "the connection is closed", disposition: .discard,
        wasNeverSent: true)
    /// The error of a statement whose deadline passed.
    package var overdueError: PostgresError {
        PostgresError(
            code: PostgresError.Code.queryTimeout, message: "the database did not answer the query in time",
            disposition: .statement, endpoint: endpoint)
    }
    package static let busyError = PostgresError(
        code: PostgresError.Code.busy, message: "the connection is running another statement",
        hint: "A connection runs one statement at a time; check out another one.", disposition: .statement,
        wasNeverSent: true)
    static let cancelledError = PostgresError(
        code: PostgresError.Code.cancelled, message: "the task was cancelled", disposition: .discard)

    /// The error of a statement started after the session's end: the reason of that end.
    package var errorAfterEnd: PostgresError {
        var error = cause ?? Self.closedError
        error.wasNeverSent = true
        return error
    }

    /// Why the session has ended: the server's notice if there was one, otherwise libpq's message.
    func disconnectError() -> PostgresError {
        if var cause = notices.cause {
            cause.endpoint = endpoint
            return cause
        }
        guard let connection else { return Self.closedError }
        let text = String(cString: PQerrorMessage(connection))
        return LibpqMessageParser.error(in: text, phase: .session, endpoint: endpoint)
    }
}
