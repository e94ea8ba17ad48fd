public import DispatchLoop
public import PostgresSession

/// The pool supervisor's view of the database.
///
/// ```
///                 sign of trouble              no reply within the grace period
///          up ───────────────────▶ suspect ───────────────────────────▶ down
///           ▲                        │  │ a setting is wrong, no session works ▲ │
///           │       any reply        │  ├──────────▶ misconfigured ◀─────────┤ │ the latest
///           ├────────────────────────┘  │ wrong role, after the grace period │ │ connect
///           │                           └──────────▶ read-only ◀─────────────┘ │ decides
///           └──────────────────────────────────────────────────────────────────┘ any reply
///
///   any state ──▶ draining ──▶ closed
/// ```
///
/// - up: no prober; the pool grows as needed.
/// - suspect, down, misconfigured, read-only: an `Outage` exists; a probe is running or scheduled.
/// - suspect: waiters wait, at most for the grace period. In the other three they fail at once.
/// - draining: no waiters and no new connects. closed: no slot is in use.
public enum DatabaseState: String, Sendable, Hashable, CaseIterable {
    /// The database answers.
    case up
    /// One session failed in a way that others may share; the pool is checking.
    case suspect
    /// The database cannot be reached.
    case down
    /// The database rejects the login until an operator fixes a setting.
    case misconfigured
    /// Reachable, but in the wrong role for `target_session_attrs`.
    case readOnly = "read-only"
    /// Closing: the pool waits for leased connections.
    case draining
    /// Closed.
    case closed

    /// Whether requests fail at once because no database is available.
    public var failsAtOnce: Bool { self == .down || self == .misconfigured || self == .readOnly }
}

/// A period without a reply from the database.
public struct Outage: Sendable, Hashable {
    /// When its first sign appeared.
    public var since: MonotonicTime
    /// The latest cause.
    public var cause: PostgresError
    /// How many connects have failed since.
    public var failedAttempts = 0
}

extension PoolMachine {
    /// The supervisor's state, with the knowledge that only that state has; ``DatabaseState`` has the diagram.
    enum State: Sendable, Hashable {
        case notStarted
        case up
        // Boxed: a state is read on each query, and an outage holds a large error.
        indirect case suspect(Search)
        indirect case down(Search)
        indirect case misconfigured(Search)
        indirect case readOnly(Search)
        case draining(until: MonotonicTime)
        case closed

        /// The state as the public interface shows it.
        var database: DatabaseState {
            switch self {
            case .up: .up
            case .notStarted, .suspect: .suspect
            case .down: .down
            case .misconfigured: .misconfigured
            case .readOnly: .readOnly
            case .draining: .draining
            case .closed: .closed
            }
        }

        var search: Search? {
            switch self {
            case .suspect(let search), .down(let search), .misconfigured(let search), .readOnly(let search): search
            case .notStarted, .up, .draining, .closed: nil
            }
        }

        /// Whether the pool probes for a database that answers.
        var isProbing: Bool {
            switch self {
            case .suspect, .down, .misconfigured, .readOnly: true
            case .notStarted, .up, .draining, .closed: false
            }
        }

        var isUp: Bool { if case .up = self { true } else { false } }
        var isDraining: Bool { if case .draining = self { true } else { false } }

        /// The same state with a changed search; a state without a search does not change.
        func updating(_ change: (inout Search) -> Void) -> Self {
            guard var search else { return self }
            change(&search)
            return switch self {
            case .suspect: .suspect(search)
            case .down: .down(search)
            case .misconfigured: .misconfigured(search)
            case .readOnly: .readOnly(search)
            case .notStarted, .up, .draining, .closed: self
            }
        }
    }

    /// An outage, and the search for a database that answers.
    struct Search: Sendable, Hashable {
        var outage: Outage
        /// When the connect that failed with the outage's cause began.
        var causeBegan = MonotonicTime(nanoseconds: .min)
        /// How long waiters may wait for the running probe once the outage is established.
        var onDemandDeadline: MonotonicTime?
    }
}
