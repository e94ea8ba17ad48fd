/// The role that a session's server must have: `target_session_attrs` (PostgreSQL manual, 34.1.2).
package enum SessionTarget: String, Sendable, Hashable, CaseIterable {
    case any
    /// A server that takes writes.
    case readWrite = "read-write"
    /// A server that does not take writes.
    case readOnly = "read-only"
    case primary
    case standby
    /// A standby or, if none is reachable, any server.
    case preferStandby = "prefer-standby"

    /// Whether a session of the wrong role is useless.
    package var isStrict: Bool { self != .any && self != .preferStandby }

    /// Whether a promotion takes the role from a server, and leaves its sessions.
    package var endsWithPromotion: Bool {
        switch self {
        case .readOnly, .standby, .preferStandby: true
        case .any, .readWrite, .primary: false
        }
    }

    /// Whether sessions must be able to write.
    package var requiresReadWrite: Bool { self == .readWrite || self == .primary }
}
