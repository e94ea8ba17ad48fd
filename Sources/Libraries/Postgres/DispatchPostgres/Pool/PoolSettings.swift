/// How a pool behaves. The defaults suit a health-check target on one database.
public struct PoolSettings: Sendable, Hashable {
    /// How many connections are kept open even when nobody needs them.
    public var minimum = 1
    /// The most sockets to the database, of every kind and at every moment.
    public var maximum = 10
    /// The most idle connections kept; surplus ones are closed when they come home. `nil`: as many as ``maximum``.
    public var maximumIdle: Int?
    /// How long a connection above ``minimum`` may be idle before it is closed. `nil`: for ever.
    public var idleTimeout: Duration? = .seconds(300)
    /// How long a connection may live, ±10 %, before it is replaced. `nil`: for ever.
    public var maximumLifetime: Duration? = .seconds(1_800)
    /// How long a connection may be unheard of before it is asked for a sign of life. `nil`: for ever.
    public var keepalive: Duration? = .seconds(30)
    /// How long a standby may be unheard of before it is asked for a sign of life, on one connection: it does not tell
    /// sessions that it was promoted until they ask something. `nil`: as any other server.
    public var standbyKeepalive: Duration? = .seconds(1)
    /// How long reaching a server may take, name look-up included, until one accepts.
    public var connectTimeout: Duration = .seconds(5)
    /// How long a log-in may take from then on. A slow one (LDAP, a busy server) is a process there whether or not it is
    /// waited for; the default is that of PostgreSQL's `authentication_timeout`.
    public var loginTimeout: Duration = .seconds(60)
    /// How long a request waits through the start of an outage before it is told of it. Short outages end within it.
    public var outageGrace: Duration = .milliseconds(750)
    /// How long a query may be silent before that is unusual, at least: a database that usually takes longer has longer.
    public var silenceTimeout: Duration = .milliseconds(300)
    /// How long a suspected connection may take for an empty query, at least, if the way to the server turns out to be dead
    /// then; where it is open, a second.
    public var checkTimeout: Duration = .milliseconds(250)
    /// The most requests that wait at a time; more are told that the pool is saturated.
    public var maximumWaiters = 10_000

    /// The defaults.
    public init() {}

    /// What is wrong with the settings, in a sentence for the reader; `nil` when they can be used.
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
