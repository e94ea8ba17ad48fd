/// What a sandbox is made to be.
package struct SandboxConfiguration: Sendable {
    /// How logins over TCP prove themselves. (The sandbox's own statements go through a Unix socket in
    /// a folder closed to others and need no proof, so that they work whatever a test does to roles.)
    package enum Authentication: String, Sendable, CaseIterable {
        case scram = "scram-sha-256"
        case trust
        case password
        case reject
    }

    /// The role that services log in as, a superuser.
    package var user = "admin"
    package var password = "P@ssw0rd"
    /// The database, owned by `user`.
    package var database = "mydb"
    package var authentication = Authentication.scram
    /// Further lines of postgresql.conf, for instance `["max_connections": "8"]`.
    package var settings: [String: String]
    /// Whether commits survive a crash of the machine. Throw-away clusters do without (`fsync=off`).
    package var isDurable = false
    /// How far the server gives way to other processes, as in nice(1): 0 not at all, 19 wherever it can.
    package var niceness = 0
    /// How long starting or stopping may take.
    package var deadline = Duration.seconds(30)

    package init(settings: [String: String] = [:]) { self.settings = settings }

    var hasStandardNames: Bool {
        let standard = SandboxConfiguration()
        return user == standard.user && password == standard.password && database == standard.database
    }
}
