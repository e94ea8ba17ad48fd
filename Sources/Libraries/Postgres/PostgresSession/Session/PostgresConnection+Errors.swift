internal import CLibPQ

// What is said of a session that is closed, busy or too slow.
extension PostgresConnection {
    package static let closedError = PostgresError(
        code: PostgresError.Code.closed, message: "the connection is closed", disposition: .discard,
        wasNeverSent: true)
    /// What is said of a statement whose deadline passed.
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

    /// What is said to those who use the session after its end: what it ended for.
    var endingCause: PostgresError {
        var error = cause ?? Self.closedError
        error.wasNeverSent = true
        return error
    }

    /// Why the session has ended: what the server announced, otherwise what libpq found.
    func disconnectError() -> PostgresError {
        if var ending = notices.ending {
            ending.endpoint = endpoint
            return ending
        }
        guard let connection else { return Self.closedError }
        let text = String(cString: PQerrorMessage(connection))
        return LibpqMessageParser.error(in: text, phase: .session, endpoint: endpoint)
    }
}
