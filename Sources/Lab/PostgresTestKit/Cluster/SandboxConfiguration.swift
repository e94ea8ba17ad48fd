/// The configuration of a sandbox.
public struct SandboxConfiguration: Sendable {
    /// How logins over TCP authenticate. The sandbox's own statements go through a Unix socket in a closed folder and
    /// need no password, so they work whatever a test does to roles.
    public enum Authentication: String, Sendable, CaseIterable {
        /// By password, without sending it; `scram-sha-256`.
        case scram = "scram-sha-256"
        /// Without a password.
        case trust
        /// By password in clear text.
        case password
        /// Not at all.
        case reject
    }

    /// The role of services, a superuser.
    public var user = "admin"
    /// The password of `user`.
    public var password = "P@ssw0rd"
    /// The database, owned by `user`.
    public var database = "mydb"
    /// How logins over TCP authenticate.
    public var authentication = Authentication.scram
    /// Further lines of postgresql.conf, for instance `["max_connections": "8"]`.
    public var settings: [String: String]
    /// Whether commits survive a crash of the machine. Temporary clusters run with `fsync=off`.
    public var isDurable = false
    /// The server's niceness, as in nice(1).
    public var niceness = 0
    /// The limit for starting, for stopping, and for each other wait of the sandbox.
    public var deadline = Duration.seconds(30)

    /// A standard configuration, with these lines of postgresql.conf in addition.
    public init(settings: [String: String] = [:]) { self.settings = settings }

    var hasStandardNames: Bool {
        let standard = SandboxConfiguration()
        return user == standard.user && password == standard.password && database == standard.database
    }
}
