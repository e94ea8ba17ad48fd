import PostgresTestKit

/// Faults of single sessions while the database is up: none may be mistaken for an outage.
extension Fault {
    static let sessions = [
        Fault(
            "terminated", title: "all sessions are terminated while idle", ending: nil, expecting: .unseen,
            setup: FaultSetup(fillsPool: true),
            begin: { stage in
                let sandbox = try stage.sandbox()
                var count = 0
                try await stage.repeatedly(stage.amount(5, quick: 3), every: .milliseconds(600)) { _ in
                    count += try await sandbox.terminateSessions()
                }
                stage.note("\(count) sessions were terminated")
            }),
        Fault(
            "killed", title: "a random session is killed ten times a second", ending: nil, expecting: .unseen,
            setup: FaultSetup(pingClients: 50),
            begin: { stage in
                let sandbox = try stage.sandbox()
                let start = ContinuousClock.now
                var count = 0
                try await stage.repeatedly(stage.amount(300, quick: 50), every: .milliseconds(100)) { _ in
                    count += try await sandbox.terminateSession()
                    try await stage.letStruckRequestsEnd()
                }
                stage.note("\(count) sessions were killed in \((ContinuousClock.now - start).shown)")
            }),
        Fault(
            "idle-session-timeout", title: "the server ends sessions that are idle for 500 ms", ending: nil,
            expecting: .unseen,
            setup: FaultSetup(fillsPool: true, pingClients: 6, interval: .milliseconds(700)),
            begin: { stage in
                try await stage.sandbox().set(["idle_session_timeout": "500"])
                // Sessions take the setting up at their next command.
                try await stage.pause(stage.amount(.seconds(8), quick: .seconds(3)))
            }),
        Fault(
            "idle-in-transaction-timeout", title: "the server ends transactions that are idle for 200 ms",
            ending: nil, expecting: .unseen, setup: FaultSetup(interval: .milliseconds(300)),
            begin: { stage in
                try await stage.sandbox().set(["idle_in_transaction_session_timeout": "200"])
                try await stage.pause(stage.amount(.seconds(4), quick: .seconds(2)))
            }),
    ]
}
