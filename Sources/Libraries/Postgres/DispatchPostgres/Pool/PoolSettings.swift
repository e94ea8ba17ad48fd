/// How a pool behaves. The defaults suit a small service with one database.
public struct PoolSettings: Sendable, Hashable {
    /// The minimum number of connections kept open.
    public var minimum = 1
    /// The maximum number of sockets to the database, of every kind and at every moment.
    public var maximum = 10
    /// The maximum number of idle connections; surplus ones are closed on release. `nil`: ``maximum``.
    public var maximumIdle: Int?
    /// How long a connection above ``minimum`` may be idle before it is closed. `nil`: without limit.
    public var idleTimeout: Duration? = .seconds(300)
    /// The lifetime of a connection, ±10 %, after which the pool replaces it. `nil`: without limit.
    public var maximumLifetime: Duration? = .seconds(1_800)
    /// How long after the last reply an idle connection is checked with an empty query. `nil`: never.
    public var keepalive: Duration? = .seconds(30)
    /// The same for a standby, on one connection: a standby reports its promotion only with its next reply. On each
    /// connection, if `target_session_attrs` asks for a server that a promotion would make the wrong one. `nil`: as for
    /// any other server.
    public var standbyKeepalive: Duration? = .seconds(1)
    /// How long the pool may take to reach a server, from name resolution until one accepts.
    public var connectTimeout: Duration = .seconds(5)
    /// How long a login may take after that. A slow one (LDAP, a busy server) occupies a server process whether or not
    /// the pool waits for it. The default is that of PostgreSQL's `authentication_timeout`.
    public var loginTimeout: Duration = .seconds(60)
    /// How long requests wait for a lost database before they fail. Most short outages end within it.
    public var outageGrace: Duration = .milliseconds(750)
    /// The minimum silence of a query that counts as unusual. It grows with the time that the database usually takes.
    public var silenceTimeout: Duration = .milliseconds(300)
    /// The minimum time that a suspected connection has for an empty query when its network path is dead; with an open
    /// path it has at least a second.
    public var checkTimeout: Duration = .milliseconds(250)
    /// The maximum number of waiting requests; further ones fail with ``PoolError/Kind/saturated``.
    public var maximumWaiters = 10_000

    /// The defaults.
    public init() {}

    /// The fault in the settings, as a message for people; `nil` if they are valid.
    public var problem: String? {
        if maximum < 1 { return "the pool's maximum must be at least 1" }
        if maximum > 10_000 { return "the pool's maximum must be at most 10000" }
        if minimum < 0 { return "the pool's minimum must not be negative" }
        if minimum > maximum { return "the pool's minimum (\(minimum)) is greater than its maximum (\(maximum))" }
        if let maximumIdle, maximumIdle < minimum {
            return "the pool's maximum of idle connections (\(maximumIdle)) is less than its minimum (\(minimum))"
        }
        if maximumWaiters < 1 { return "the pool's maximum of waiters must be at least 1" }
        let durations: [(String, Duration?)] = [
            ("idle timeout", idleTimeout), ("maximum lifetime", maximumLifetime), ("keepalive", keepalive),
            ("standby keepalive", standbyKeepalive),
            ("connect timeout", connectTimeout), ("login timeout", loginTimeout), ("silence timeout", silenceTimeout),
            ("check timeout", checkTimeout),
        ]
        for (name, duration) in durations {
            if let duration, duration <= .zero { return "the pool's \(name) must be greater than zero" }
        }
        if outageGrace < .zero { return "the pool's grace must not be negative" }
        return nil
    }
}
