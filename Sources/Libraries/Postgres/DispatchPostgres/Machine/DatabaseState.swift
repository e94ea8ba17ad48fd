public import DispatchLoop
public import PostgresSession

/// What the pool's supervisor knows of the database.
///
/// ```
///                 sign of trouble              no proof within the grace
///          up ───────────────────▶ suspect ───────────────────────────▶ down
///           ▲                        │  │ a setting is wrong, nothing lives  ▲ │
///           │        any proof       │  ├──────────▶ misconfigured ◀─────────┤ │ by what the
///           ├────────────────────────┘  │ wrong role                         │ │ latest connect
///           │                           └──────────▶ read-only ◀─────────────┘ │ says
///           └──────────────────────────────────────────────────────────────────┘ any proof
///
///   from anywhere ──▶ draining ──▶ closed
/// ```
///
/// - up: no prober; growth as needed.
/// - suspect, down, misconfigured, read-only: an ``Outage`` is recorded; a probe is in flight or has its time set.
/// - suspect: waiters wait, no longer than the grace. In the other three they fail at once.
/// - draining: nobody waits; no connect is begun. closed: no slot is in use.
public enum DatabaseState: String, Sendable, Hashable, CaseIterable {
    /// The database answers.
    case up
    /// Something went wrong that others may share; being found out.
    case suspect
    /// The database cannot be reached.
    case down
    /// The database can be reached and refuses the log-in until somebody mends a setting.
    case misconfigured
    /// Reachable, but in the wrong role for what `target_session_attrs` asks.
    case readOnly = "read-only"
    /// Closing: what is checked out is waited for.
    case draining
    /// Closed.
    case closed

    /// Whether requests are told at once that there is no database.
    public var failsAtOnce: Bool { self == .down || self == .misconfigured || self == .readOnly }

    /// Whether the pool is looking for a database that answers.
    var isProbing: Bool { self == .suspect || failsAtOnce }
}

/// A time without proof that the database answers.
public struct Outage: Sendable, Hashable {
    /// When the first sign of it was seen.
    public var since: MonotonicTime
    /// The latest cause.
    public var cause: PostgresError
    /// How many connects have failed since.
    public var failedAttempts = 0
}
