import PostgresSession

/// Checks a session. When the query stays silent and the network path is dead, the session ends at once; when the path
/// is open, the server has until the check's deadline.
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
