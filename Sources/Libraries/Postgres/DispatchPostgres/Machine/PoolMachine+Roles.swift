import DispatchLoop
import PostgresSession

/// How the role of a session's server fits the wanted one.
enum RoleFit: Sendable, Hashable {
    /// As wanted, or unknown.
    case fitting
    /// Not as wanted when the session began, for want of a better server (`prefer-standby`).
    case accepted
    /// Lost since the session began.
    case lost
}

/// What the pool remembers about lost roles.
struct RoleWatch: Sendable, Hashable {
    /// When the idle connections were last asked for their roles.
    var askedAt = MonotonicTime(nanoseconds: .min)
}

/// Sessions whose server has lost the role that `target_session_attrs` asks for. A promotion keeps a standby's sessions,
/// and a reload may make a primary read-only; PostgreSQL reports the change with a session's next reply.
///
/// ```
///   a reply reports the lost role ─▶ the session serves on, and its successor is opened; idle ones are asked
///      ├─ the successor answers ─────────────────────────────▶ the session is closed
///      ├─ no server has the role, and all sessions lost it ──▶ all are retired; suspect
///      └─ the successor fails otherwise ─────────────────────▶ the session serves on; another try follows
/// ```
extension PoolMachine {
    /// How soon the idle connections are asked again.
    static let roleInterval = Duration.seconds(1)

    /// A session has reported that its server lost the wanted role.
    mutating func lostRole(_ id: ConnectionID, at now: MonotonicTime) {
        guard let slot = slots.slot(id), slot.role == .fitting, slot.generation == generation, slot.holdsSession else {
            return
        }
        // Its successor is opened as at the end of its lifetime.
        slots.update(id) {
            $0.role = .lost
            $0.expiresAt = now
        }
        if slot.isOpen { retirement.isWanted = true }
        guard state.isUp, now >= roleWatch.askedAt.advanced(byNanoseconds: Self.roleInterval.nanoseconds) else {
            return
        }
        roleWatch.askedAt = now
        for index in slots.idle where slots.slots[index].role == .fitting { beginCheck(slots.id(at: index), at: now) }
    }

    /// No server has the wanted role, as this failed connect shows: `true` retires all sessions, if every one of them has
    /// lost it.
    mutating func retireMisplaced(_ error: PostgresError, at now: MonotonicTime) -> Bool {
        guard error.disposition == .wrongRole, slots.slots.allSatisfy({ !$0.isOpen || $0.role == .lost }) else {
            return false
        }
        retireGeneration(at: now)
        return true
    }
}

extension SessionTarget {
    /// The error of a session on a server without this role.
    var wrongRole: PostgresError {
        let there =
            switch self {
            case .readWrite: "the server is read-only"
            case .readOnly: "the server takes writes"
            case .primary: "the server is a standby"
            case .standby, .preferStandby: "the server is a primary"
            case .any: "the server has the wrong role"
            }
        return PostgresError(
            code: PostgresError.Code.wrongRole, message: "\(there), and target_session_attrs asks for \(rawValue)",
            disposition: .wrongRole)
    }
}
