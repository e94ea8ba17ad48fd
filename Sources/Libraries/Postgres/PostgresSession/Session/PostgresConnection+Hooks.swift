// What the hooks of a client need beside statements.
extension PostgresConnection {
    /// The server has dropped its prepared statements (`DISCARD ALL`).
    package func forgetPreparedStatements() { prepared.forgetAll() }

    /// Closes the session, and ends what runs at the server.
    package func abort() {
        let request = takeCancelRequest() ?? (path == .lost ? nil : cancelRequestForStatement)
        request?.send { _ in }
        close()
    }
}
