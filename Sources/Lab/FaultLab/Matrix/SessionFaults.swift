import PostgresTestKit

/// Faults of single sessions while the database is up. The service must not take one for an outage.
extension Fault {
    static let sessions = [
        Fault(
            "terminated", title: "all sessions are terminated while idle", ending: nil, expecting: .unseen,
            setup: FaultSetup(fillsPool: true),
            begin: { context in
                let sandbox = try context.sandbox()
                var count = 0
                try await context.repeatedly(context.amount(5, quick: 3), every: .milliseconds(600)) { _ in
                    count += try await sandbox.terminateSessions()
                }
                context.note("\(count) sessions were terminated")
            }),
        Fault(
            "killed", title: "a random session is killed ten times a second", ending: nil, expecting: .unseen,
            setup: FaultSetup(pingClients: 50),
            begin: { context in
                let sandbox = try context.sandbox()
                let start = ContinuousClock.now
                var count = 0
                try await context.repeatedly(context.amount(300, quick: 50), every: .milliseconds(100)) { _ in
                    count += try await sandbox.terminateSession()
                    try await context.waitForAffectedRequests()
                }
                context.note("\(count) sessions were killed in \((ContinuousClock.now - start).shown)")
            }),
        Fault(
            "idle-session-timeout", title: "the server ends sessions that are idle for 500 ms", ending: nil,
            expecting: .unseen,
            setup: FaultSetup(fillsPool: true, pingClients: 6, interval: .milliseconds(700)),
            begin: { context in
                try await context.sandbox().set(["idle_session_timeout": "500"])
                // Sessions read the setting at their next command.
                try await context.pause(context.amount(.seconds(8), quick: .seconds(3)))
            }),
        Fault(
            "idle-in-transaction-timeout", title: "the server ends transactions that are idle for 200 ms",
            ending: nil, expecting: .unseen, setup: FaultSetup(interval: .milliseconds(300)),
            begin: { context in
                try await context.sandbox().set(["idle_in_transaction_session_timeout": "200"])
                try await context.pause(context.amount(.seconds(4), quick: .seconds(2)))
            }),
    ]
}
