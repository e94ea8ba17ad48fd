/// The configuration of a sandbox.
package struct SandboxConfiguration: Sendable {
    /// How logins over TCP authenticate. The sandbox's own statements go through a Unix socket in a closed folder and
    /// need no password, so they work whatever a test does to roles.
    package enum Authentication: String, Sendable, CaseIterable {
        case scram = "scram-sha-256"
        case trust
        case password
        case reject
    }

    /// The role of services, a superuser.
    package var user = "admin"
    package var password = "P@ssw0rd"
    /// The database, owned by `user`.
    package var database = "mydb"
    package var authentication = Authentication.scram
    /// Further lines of postgresql.conf, for instance `["max_connections": "8"]`.
    package var settings: [String: String]
    /// Whether commits survive a crash of the machine. Temporary clusters run with `fsync=off`.
    package var isDurable = false
    /// The server's niceness, as in nice(1).
    package var niceness = 0
    /// The limit for starting and for stopping.
    package var deadline = Duration.seconds(30)

    package init(settings: [String: String] = [:]) { self.settings = settings }

    var hasStandardNames: Bool {
        let standard = SandboxConfiguration()
        return user == standard.user && password == standard.password && database == standard.database
    }
}
