import PostgresTestKit

/// One of several addresses or hosts is off: what is sent there is lost. One that lives is enough.
extension Fault {
    /// The database lives at 127.0.0.2, behind a relay; 127.0.0.1 comes before it and is dead. (The other way round the C
    /// library would sort the living one to the front: RFC 6724 §6, rule 9.)
    private static func prepareAddresses(_ stage: FaultContext) async throws {
        let dead = try DeadAddress()
        stage.keep(dead)
        stage.enter(
            relay: try FaultRelay(to: stage.sandbox().port, on: LoopbackAddress(127, 0, 0, 2), port: dead.port))
        try await prepareNames(stage, answering: .addresses([[127, 0, 0, 1], [127, 0, 0, 2]]))
    }

    /// The connection string names a dead host, then the database.
    private static func prepareHosts(_ stage: FaultContext) async throws {
        let dead = try DeadAddress()
        stage.keep(dead)
        stage.launch.databaseURL = try stage.sandbox().connectionURL(after: "127.0.0.1:\(dead.port)")
    }

    /// What none may see while one address is dead: sessions that end, and a fast restart.
    private static func shake(_ stage: FaultContext) async throws {
        let sandbox = try stage.sandbox()
        try await stage.repeatedly(stage.amount(4, quick: 2), every: .milliseconds(1_200)) { _ in
            try await sandbox.terminateSessions()
        }
        let time = try await sandbox.restart()
        stage.note("the restart took \(time.shown)")
        try await stage.pause(.milliseconds(500))
    }

    static let addresses = [
        Fault(
            "dead-address", title: "the first of two addresses is dead, sessions are ended, and the database restarted",
            ending: nil, expecting: .unseen, setup: FaultSetup(needs: [.mountNamespace], prepare: prepareAddresses),
            begin: shake),
        Fault(
            "dead-address-stop", title: "the first of two addresses is dead, and the database is stopped",
            ending: "the database is started", expecting: .refused,
            setup: FaultSetup(needs: [.mountNamespace], prepare: prepareAddresses),
            begin: { try await $0.database.stop(.fast) }, end: { try await $0.database.start() }),
        Fault(
            "dead-host", title: "the first of two hosts is off, sessions are ended, and the database restarted",
            ending: nil, expecting: .unseen, setup: FaultSetup(prepare: prepareHosts), begin: shake),
        Fault(
            "dead-host-stop", title: "the first of two hosts is off, and the database is stopped",
            ending: "the database is started", expecting: .refused, setup: FaultSetup(prepare: prepareHosts),
            begin: { try await $0.database.stop(.fast) }, end: { try await $0.database.start() }),
    ]
}
