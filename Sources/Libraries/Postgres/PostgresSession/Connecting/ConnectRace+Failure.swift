/// The error of an attempt that fails on all addresses.
extension ConnectRace {
    func timeout(server: Int) -> PostgresError {
        let isLookingUp = pending.contains(server) && !candidates.contains { $0.target.server == server }
        return PostgresError(
            code: PostgresError.Code.connectTimeout,
            message: isLookingUp
                ? "the look-up of the server's host name timed out"
                : "connecting to the server timed out",
            disposition: .outage, endpoint: servers.indices.contains(server) ? servers[server].name : nil,
            wasNeverSent: true)
    }

    /// Whether a failure other than a timeout is known.
    var hasBeenAnswered: Bool { failure.map { Self.weight($0) > 0 } ?? false }

    /// Keeps the failure that says most about when connecting will succeed; of equal ones, the latest.
    mutating func keepMostTelling(_ error: PostgresError, server: Int) {
        var error = error
        error.wasNeverSent = true
        if error.endpoint == nil { error.endpoint = servers[server].name }
        if let failure, Self.weight(failure) > Self.weight(error) { return }
        failure = error
    }

    private static func weight(_ error: PostgresError) -> Int {
        switch error.disposition {
        case .wrongRole: 4  // The server is up, and one promotion away from the right role.
        // The server is not ready.
        case .outage where error.severity != nil || error.code == PostgresError.Code.loginKeys: 3
        case .configuration: 2
        case .outage where error.code == PostgresError.Code.connectTimeout: 0  // No answer.
        default: 1
        }
    }
}
