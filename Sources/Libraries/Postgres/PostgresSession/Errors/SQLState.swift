/// The server's error code (PostgreSQL manual, appendix A), such as `23505`, or ``uniqueViolation``.
public struct SQLState: RawRepresentable, Hashable, Sendable {
    /// Five characters, each a digit or an upper-case letter.
    public let rawValue: String

    /// `nil` unless `rawValue` has the form of an SQLSTATE.
    public init?(rawValue: String) {
        guard rawValue.utf8.count == 5,
            rawValue.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) })
        else { return nil }
        self.rawValue = rawValue
    }

    /// For the codes of the manual.
    init(known rawValue: String) { self.rawValue = rawValue }

    /// The first two characters: the class.
    public var classCode: Substring { rawValue.prefix(2) }
}

extension SQLState: CustomStringConvertible {
    /// The code, and its name in the manual if it has one: `23505 (unique_violation)`.
    public var description: String { name.map { "\(rawValue) (\($0))" } ?? rawValue }
}

/// The server's severity: field `V` of its message, which is never localized.
public enum Severity: String, Hashable, Sendable {
    /// The statement failed; the session continues.
    case error = "ERROR"
    /// The session ends.
    case fatal = "FATAL"
    /// All sessions end.
    case panic = "PANIC"
    /// No failure.
    case warning = "WARNING"
    /// No failure.
    case notice = "NOTICE"
    /// No failure: what the user has asked for, such as the report of `VACUUM VERBOSE`.
    case info = "INFO"
    /// No failure: for the server's log, and sent because `client_min_messages` asks for it.
    case log = "LOG"
    /// No failure: as ``log``, for developers.
    case debug = "DEBUG"
}

/// What a failure means for its connection and for others. The pool acts on nothing else.
public enum Disposition: Hashable, Sendable {
    /// The connection is dead and the server is fine: discard the connection, retry idempotent work once. No outage.
    case discard
    /// An administrator ended this session (57P01). A single one concerns this session; two in a row mean a shutdown.
    case terminated
    /// The server is shutting down, gone, or not ready: other connections are likely to fail as well.
    case outage
    /// The server is reachable but has the wrong role, such as read-only where read-write is required.
    case wrongRole
    /// Retrying is useless until a setting is fixed, here or in the database.
    case configuration
    /// Only the statement failed; the connection is fine.
    case statement
}

/// The phase of a connection in which a failure happened.
package enum FailurePhase: Sendable {
    case connecting
    case session
}

extension SQLState {
    /// The meaning of an error with this code (PostgreSQL manual, appendix A).
    package func disposition(severity: Severity, phase: FailurePhase) -> Disposition {
        switch rawValue {
        case "57P05",  // idle_session_timeout
            "25P03",  // idle_in_transaction_session_timeout
            "08P01":  // protocol_violation
            return .discard
        case "57P04":  // database_dropped: ends a session; while connecting, the setting is wrong
            return phase == .connecting ? .configuration : .discard
        case "57P01":  // admin_shutdown: while connecting, the whole server shuts down
            return phase == .connecting ? .outage : .terminated
        case "57P02", "57P03",  // crash_shutdown, cannot_connect_now
            "08000", "08001", "08003", "08004", "08006", "08007",
            "53300":  // too_many_connections
            return .outage
        case "25006":  // read_only_sql_transaction
            return .wrongRole
        case "28P01", "28000",  // invalid_password, invalid_authorization_specification
            "3D000":  // invalid_catalog_name: no such database
            return .configuration
        case "42501", "55000", "22023", "42704", "0A000":
            // No CONNECT privilege, database not accepting connections, an invalid start-up option or value.
            if phase == .connecting { return .configuration }
        case "53200":  // out_of_memory
            if severity != .error { return .outage }
        default:
            if classCode == "58", severity != .error { return .outage }  // system_error, io_error
        }
        switch (phase, severity) {
        case (_, .panic), (.connecting, _): return .outage
        case (.session, .fatal): return .discard
        case (.session, _): return .statement
        }
    }
}
