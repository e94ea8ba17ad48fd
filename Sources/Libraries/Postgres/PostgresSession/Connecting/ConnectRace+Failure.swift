/// What is told when nobody lets us in.
extension ConnectRace {
    func timeout(server: Int) -> PostgresError {
        let isLookingUp = pending.contains(server) && !candidates.contains { $0.target.server == server }
        return PostgresError(
            code: PostgresError.Code.connectTimeout,
            message: isLookingUp
                ? "the server's host name could not be looked up in time"
                : "the server did not answer the connect in time",
            disposition: .outage, endpoint: servers.indices.contains(server) ? servers[server].name : nil,
            wasNeverSent: true)
    }

    /// Whether somebody has said more than nothing.
    var hasBeenAnswered: Bool { failure.map { Self.weight($0) > 0 } ?? false }

    /// Of the failures on several addresses, keeps the one that says most about when connecting will succeed; of those
    /// that say as much, the latest.
    mutating func keepMostTelling(_ error: PostgresError, server: Int) {
        var error = error
        error.wasNeverSent = true
        if error.endpoint == nil { error.endpoint = servers[server].name }
        if let failure, Self.weight(failure) > Self.weight(error) { return }
        failure = error
    }

    private static func weight(_ error: PostgresError) -> Int {
        switch error.disposition {
        case .wrongRole: 4  // A server answers, and is one promotion away from being the right one.
        case .outage where error.severity != nil || error.code == PostgresError.Code.loginKeys: 3  // Not ready.
        case .configuration: 2
        case .outage where error.code == PostgresError.Code.connectTimeout: 0  // Nobody has said anything.
        default: 1
        }
    }
}
