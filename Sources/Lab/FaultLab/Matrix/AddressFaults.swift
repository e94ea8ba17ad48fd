import PostgresTestKit

/// Faults in which one of several addresses or hosts drops all packets. One that works must suffice.
extension Fault {
    /// The database is at 127.0.0.2, behind a relay; 127.0.0.1 precedes it and is dead. In the other order the C library
    /// would sort the live address first (RFC 6724 §6, rule 9).
    private static func prepareAddresses(_ context: FaultContext) async throws {
        let dead = try DeadAddress()
        context.keep(dead)
        context.use(
            relay: try FaultRelay(to: context.sandbox().port, on: IPv4Address(127, 0, 0, 2), port: dead.port))
        try await prepareNames(context, resolving: .addresses([[127, 0, 0, 1], [127, 0, 0, 2]]))
    }

    /// The connection string names a dead host before the database.
    private static func prepareHosts(_ context: FaultContext) async throws {
        let dead = try DeadAddress()
        context.keep(dead)
        context.launch.databaseURL = try context.sandbox().connectionURL(after: "127.0.0.1:\(dead.port)")
    }

    /// Terminates sessions and restarts the database. Clients must not notice although one address is dead.
    private static func disturb(_ context: FaultContext) async throws {
        let sandbox = try context.sandbox()
        try await context.repeatedly(context.amount(4, quick: 2), every: .milliseconds(1_200)) { _ in
            try await sandbox.terminateSessions()
        }
        let time = try await sandbox.restart()
        context.note("the restart took \(time.shown)")
        try await context.pause(.milliseconds(500))
    }

    static let addresses = [
        Fault(
            "dead-address", title: "the first of two addresses is dead, sessions are ended, and the database restarted",
            ending: nil, expecting: .unseen, setup: FaultSetup(needs: [.mountNamespace], prepare: prepareAddresses),
            begin: disturb),
        Fault(
            "dead-address-stop", title: "the first of two addresses is dead, and the database is stopped",
            ending: "the database is started", expecting: .refused,
            setup: FaultSetup(needs: [.mountNamespace], prepare: prepareAddresses),
            begin: { try await $0.database.stop(.fast) }, end: { try await $0.database.start() }),
        Fault(
            "dead-host", title: "the first of two hosts is dead, sessions are ended, and the database restarted",
            ending: nil, expecting: .unseen, setup: FaultSetup(prepare: prepareHosts), begin: disturb),
        Fault(
            "dead-host-stop", title: "the first of two hosts is dead, and the database is stopped",
            ending: "the database is started", expecting: .refused, setup: FaultSetup(prepare: prepareHosts),
            begin: { try await $0.database.stop(.fast) }, end: { try await $0.database.start() }),
    ]
}
