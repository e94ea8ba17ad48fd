import DispatchPostgres
import PostgresSession

/// The words for the state of the database, shared by the log, systemd's status line and the status page.
struct DatabaseSummary: Equatable {
    /// A clause without a full stop: `the database is down`.
    let text: String
    /// The consequence or the required action: `requests fail at once`.
    let consequence: String

    /// - Parameters:
    ///   - code: the code of the outage's cause, if any.
    ///   - target: the role that is looked for.
    ///   - hasBeenUp: whether the service has been connected before.
    ///   - isSlow: whether answers usually take long.
    init(
        _ state: DatabaseState, code: String? = nil, target: SessionTarget = .any, hasBeenUp: Bool = true,
        isSlow: Bool = false
    ) {
        (text, consequence) =
            switch state {
            case .up where isSlow: ("the database is slow", "requests are served: slow is not down")
            case .up: ("the database is up", "requests are served")
            case .suspect where !hasBeenUp: ("connecting to the database", "requests wait for the first connection")
            case .suspect: ("the database is suspect", "requests wait while the pool checks its connections")
            case .down: ("the database is down", "requests fail at once")
            case .misconfigured where code == PostgresError.Code.conninfo:
                ("the database setting is invalid", "fix the connection string of the service")
            case .misconfigured:
                ("the database rejects our login", "fix the credentials, role or pg_hba.conf")
            case .readOnly: Self.wrongRole(target)
            case .draining: ("the service is shutting down", "requests in flight are served, new ones are not")
            case .closed: ("the service has stopped", "no request is served")
            }
    }

    /// What is there, and what is looked for.
    private static func wrongRole(_ target: SessionTarget) -> (String, String) {
        switch target {
        case .readWrite: ("only read-only servers answer", "the pool searches for one that accepts writes")
        case .readOnly: ("only servers that accept writes answer", "the pool searches for a read-only one")
        case .primary: ("only standbys answer", "the pool searches for a primary")
        case .standby, .preferStandby: ("only a primary answers", "the pool searches for a standby")
        case .any: ("only servers of another role answer", "the pool searches for one of the wanted role")
        }
    }
}
