import PostgresTestKit

/// Faults of a running database that refuses the service: no free connection, or its configuration.
extension Fault {
    /// The service's role in these faults. The limits do not apply to superusers.
    private static let role = "app"
    private static let password = "s3cret-of-app"

    private static func prepareRole(limit: Int = -1) -> @Sendable (FaultContext) async throws -> Void {
        { context in
            let sandbox = try context.sandbox()
            try await sandbox.execute(
                "create role \(role) login password \(SQLText.literal(password)) connection limit \(limit)")
            context.launch.databaseURL = sandbox.connectionURL(
                user: role, password: password, port: try? context.relay().port)
        }
    }

    /// Changes the role and terminates its sessions, so that the service must log in again.
    private static func alter(_ change: String) -> @Sendable (FaultContext) async throws -> Void {
        { context in
            let sandbox = try context.sandbox()
            try await sandbox.execute("alter role \(role) \(change)")
            try await sandbox.terminateSessions()
        }
    }

    private static func restore(_ change: String) -> @Sendable (FaultContext) async throws -> Void {
        { try await $0.sandbox().execute("alter role \(role) \(change)") }
    }

    static let refusals = [
        Fault(
            "too-many-some-left", title: "the role may have only three sessions (53300)", ending: nil,
            expecting: .unseen,
            setup: FaultSetup(usesRelay: true, pingClients: 32, prepare: prepareRole(limit: 3)),
            begin: { context in
                // So slow that the service wants more connections than it gets.
                try context.relay().behave(RelayBehaviour(toClient: .delayed(.milliseconds(20))))
                try await context.pause(context.amount(.seconds(5), quick: .seconds(2)))
                try context.relay().behave(.forwarding)
                context.note("\(try await context.sandbox().sessionCount(user: role)) sessions served")
            }),
        Fault(
            "too-many-none-left", title: "the role may have no session (53300)", ending: "it may have sessions again",
            expecting: .refused, setup: FaultSetup(prepare: prepareRole()), begin: alter("connection limit 0"),
            end: restore("connection limit -1")),
        Fault(
            "wrong-password", title: "the password is changed", ending: "the old password is back",
            expecting: .misconfigured, setup: FaultSetup(prepare: prepareRole()), begin: alter("password 'other'"),
            end: restore("password \(SQLText.literal(password))")),
        Fault(
            "no-login", title: "the role may no longer log in", ending: "the role may log in again",
            expecting: .misconfigured, setup: FaultSetup(prepare: prepareRole()), begin: alter("nologin"),
            end: restore("login")),
        Fault(
            "missing-database", title: "the service starts, and its database does not exist",
            ending: "the database is created", expecting: .misconfigured,
            setup: FaultSetup(
                boot: .stopped,
                prepare: { context in
                    let sandbox = try context.sandbox()
                    try await sandbox.start()
                    context.launch.databaseURL = sandbox.connectionURL(database: "not_yet")
                }),
            begin: { _ in }, end: { try await $0.sandbox().execute("create database not_yet") }),
    ]
}
