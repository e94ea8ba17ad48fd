/// A five-character error code of the server (PostgreSQL manual, appendix A), such as `57P03`.
public struct SQLState: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    /// The five characters: digits and upper-case letters.
    public let rawValue: String

    /// `nil` unless `rawValue` has the form of an SQLSTATE.
    public init?(rawValue: String) {
        guard rawValue.utf8.count == 5,
            rawValue.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x41...0x5A).contains($0) })
        else { return nil }
        self.rawValue = rawValue
    }

    /// The five characters.
    public var description: String { rawValue }

    /// The first two characters, which name the class.
    var classCode: Substring { rawValue.prefix(2) }
}

/// How bad the server says it is: field `V` of its message, which is never localised.
public enum Severity: String, Hashable, Sendable {
    /// The statement failed; the session goes on.
    case error = "ERROR"
    /// The session ends.
    case fatal = "FATAL"
    /// All sessions end.
    case panic = "PANIC"
    /// Said in passing; no failure.
    case warning = "WARNING"
    /// Said in passing; no failure.
    case notice = "NOTICE"
}

/// What a failure means for the connection it happened on and for the others. The pool acts on this and nothing else.
public enum Disposition: Hashable, Sendable {
    /// This connection is dead, the server is fine: discard it, retry safe work once, no outage.
    case discard
    /// An administrator ended this session (57P01). Once, it is one session; twice in a row, the server is going.
    case terminated
    /// The server is going, gone, or not ready: others are likely to fail as well.
    case outage
    /// Reachable, but read-only where read-write is asked for.
    case wrongRole
    /// Trying again changes nothing until somebody mends a setting, here or in the database.
    case configuration
    /// Only the statement failed; the connection is as good as before.
    case statement
}

/// Where in a connection's life a failure happened.
package enum FailurePhase: Sendable {
    case connecting
    case session
}

extension SQLState {
    /// What an error with this code means (PostgreSQL manual, appendix A, for the codes).
    package func disposition(severity: Severity, phase: FailurePhase) -> Disposition {
        switch rawValue {
        case "57P05",  // idle_session_timeout
            "25P03",  // idle_in_transaction_session_timeout
            "08P01":  // protocol_violation
            return .discard
        case "57P04":  // database_dropped: to a session it is this session's end, to a newcomer a setting to mend
            return phase == .connecting ? .configuration : .discard
        case "57P01":  // admin_shutdown; to a newcomer it is the server that goes
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
            // No CONNECT privilege, database not accepting connections, a bad start-up option or value.
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
