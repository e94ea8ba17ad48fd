import PostgresTestKit

/// What happens to the database while the service is under load.
enum DatabaseFault: String, CaseIterable, Sendable {
    case stop, kill, restart, freeze
    case blackHole = "black-hole"
    case failover

    /// Whether nothing can succeed until it ends.
    var lasts: Bool { self != .restart }
    /// Whether it ends each session, so that the subscription must tell of a gap.
    var endsSessions: Bool { self != .freeze }
}

/// A database, and what it takes to disturb it.
struct Stage: Sendable {
    let fault: DatabaseFault
    let database: PostgresSandbox
    private let standby: PostgresSandbox?
    private let relay: FaultRelay?

    /// Where the service connects.
    let url: String
    /// The server that has the data at the end.
    var last: PostgresSandbox { standby ?? database }

    static func run(_ fault: DatabaseFault, _ body: (Stage) async throws -> Void) async throws {
        // Behind a black hole, the server never learns that a client has gone, whose transaction would keep its locks.
        let configuration = SandboxConfiguration(settings: ["idle_in_transaction_session_timeout": "1s"])
        try await PostgresSandbox.withSandbox(configuration) { database in
            let standby = fault == .failover ? try await database.startStandby() : nil
            let stage = Stage(
                fault: fault, database: database, standby: standby,
                relay: fault == .blackHole ? try FaultRelay(to: database) : nil)
            do { try await body(stage) } catch {
                try? await standby?.remove()
                throw error
            }
            await stage.relay?.shutDown()
            try await standby?.remove()
        }
    }

    private init(fault: DatabaseFault, database: PostgresSandbox, standby: PostgresSandbox?, relay: FaultRelay?) {
        self.fault = fault
        self.database = database
        self.standby = standby
        self.relay = relay
        if let standby {
            url = database.connectionURL(
                alternatives: [standby], parameters: ["target_session_attrs": "read-write"])
        } else {
            url = database.connectionURL(port: relay?.port)
        }
    }

    func begin() async throws {
        switch fault {
        case .stop, .failover: try await database.stop()
        case .kill: try await database.kill()
        case .restart: try await database.restart()
        case .freeze: try await database.freeze()
        case .blackHole:
            relay?.behave(.blackHole)
            relay?.forgetAll()
        }
    }

    func end() async throws {
        switch fault {
        case .stop, .kill: try await database.start()
        case .restart: break
        case .freeze: try await database.thaw()
        case .blackHole: relay?.behave(.forwarding)
        case .failover: if let standby { try await database.failOver(to: standby) }
        }
    }

    /// Waits until no session is left that could still change something.
    func settle() async throws {
        await relay?.shutDown()
        try await last.waitForSessions { $0 == 0 }
    }
}
