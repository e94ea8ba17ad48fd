import PostgresTestKit

/// Faults of a database that is there and refuses the service: for lack of room, or as it is configured.
extension Fault {
    /// The role that services have in these faults: superusers are exempt from what is tried here.
    private static let role = "app"
    private static let password = "s3cret-of-app"

    private static func prepareRole(limit: Int = -1) -> @Sendable (FaultContext) async throws -> Void {
        { stage in
            let sandbox = try stage.sandbox()
            try await sandbox.execute(
                "create role \(role) login password \(literal(password)) connection limit \(limit)")
            stage.launch.databaseURL = sandbox.connectionURL(
                user: role, password: password, port: try? stage.relay().port)
        }
    }

    /// Changes the role, and ends its sessions, so that the service has to log in again.
    private static func alter(_ change: String) -> @Sendable (FaultContext) async throws -> Void {
        { stage in
            let sandbox = try stage.sandbox()
            try await sandbox.execute("alter role \(role) \(change)")
            try await sandbox.terminateSessions()
        }
    }

    private static func mend(_ change: String) -> @Sendable (FaultContext) async throws -> Void {
        { try await $0.sandbox().execute("alter role \(role) \(change)") }
    }

    static let refusals = [
        Fault(
            "too-many-some-left", title: "there is no room for more than three sessions (53300)", ending: nil,
            expecting: .unseen,
            setup: FaultSetup(usesRelay: true, pingClients: 32, prepare: prepareRole(limit: 3)),
            begin: { stage in
                // Slow enough that the service wants more connections than it gets.
                try stage.relay().behave(RelayBehaviour(toClient: .delayed(.milliseconds(20))))
                try await stage.pause(stage.amount(.seconds(5), quick: .seconds(2)))
                try stage.relay().behave(.forwarding)
                stage.note("\(try await stage.sandbox().sessionCount(user: role)) sessions served")
            }),
        Fault(
            "too-many-none-left", title: "there is no room for any session (53300)", ending: "there is room again",
            expecting: .refused, setup: FaultSetup(prepare: prepareRole()), begin: alter("connection limit 0"),
            end: mend("connection limit -1")),
        Fault(
            "wrong-password", title: "the password is changed", ending: "the old password is back",
            expecting: .misconfigured, setup: FaultSetup(prepare: prepareRole()), begin: alter("password 'other'"),
            end: mend("password \(literal(password))")),
        Fault(
            "no-login", title: "the role may not log in any more", ending: "the role may log in again",
            expecting: .misconfigured, setup: FaultSetup(prepare: prepareRole()), begin: alter("nologin"),
            end: mend("login")),
        Fault(
            "missing-database", title: "the service starts, and there is no such database",
            ending: "the database is created", expecting: .misconfigured,
            setup: FaultSetup(
                boot: .stopped,
                prepare: { stage in
                    let sandbox = try stage.sandbox()
                    try await sandbox.start()
                    stage.launch.databaseURL = sandbox.connectionURL(database: "not_yet")
                }),
            begin: { _ in }, end: { try await $0.sandbox().execute("create database not_yet") }),
    ]
}
