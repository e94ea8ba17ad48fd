import PostgresSession

/// Asks a session for a sign of life. Where the way to it turns out to be dead, the session is over at once; where it is open,
/// the server has the time of the check.
final class SessionCheck: StatementDelegate {
    private let completion: PostgresConnection.Completion

    init(_ completion: @escaping PostgresConnection.Completion) {
        self.completion = completion
    }

    func connection(_ connection: PostgresConnection, finished result: Result<QueryResult, PostgresError>) {
        completion(result)
    }

    func connectionIsSilent(_ connection: PostgresConnection) {
        if connection.path == .lost { connection.end(connection.overdueError) }
    }
}
