import PostgresTestKit

/// Faults of a primary and its standby, for a service whose connection string names both.
extension Fault {
    static let failovers = [
        Fault(
            "failover", title: "the primary is stopped", ending: "the standby is promoted", expecting: .refused,
            setup: FaultSetup(
                prepare: { context in
                    let primary = try context.sandbox()
                    let standby = try await PostgresSandbox.makeStandby(of: primary)
                    context.use(second: standby)
                    try await standby.start()
                    try await context.await("the standby's stream") {
                        try await primary.execute("select count(*) from pg_stat_replication where state = 'streaming'")
                            == "1"
                    }
                    context.launch.databaseURL = primary.connectionURL(
                        alternatives: [standby], parameters: ["target_session_attrs": "read-write"])
                }),
            begin: { try await $0.database.stop(.fast) },
            end: { context in
                let standby = try context.second()
                try await standby.promote()
                try await context.await("the end of the standby's recovery") {
                    try await standby.execute("select pg_is_in_recovery()") == "f"
                }
            }),
        Fault(
            "old-primary-returns", title: "after a failover the old primary starts again, read-only", ending: nil,
            expecting: .unseen,
            setup: FaultSetup(
                boot: .stopped,
                prepare: { context in
                    let old = try context.sandbox()
                    try await old.start()
                    try await old.set(["default_transaction_read_only": "on"])
                    try await old.stop(.fast)
                    let new = try await PostgresSandbox.make()
                    context.use(second: new)
                    try await new.start()
                    context.launch.databaseURL = old.connectionURL(
                        alternatives: [new], parameters: ["target_session_attrs": "read-write"])
                }),
            begin: { context in
                let old = try context.sandbox()
                let new = try context.second()
                try await context.await("the first good /ping") {
                    context.timeline.exchanges(on: "/ping").contains(where: \.isGood)
                }
                try await old.start()
                // The service must connect again, and tries the old primary first.
                try await context.repeatedly(context.amount(6, quick: 3), every: .milliseconds(500)) { _ in
                    try await new.terminateSessions()
                }
                let (stale, fresh) = (try await old.sessionCount(), try await new.sessionCount())
                context.check(
                    Check(
                        isKept: stale == 0 && fresh > 0,
                        text: "\(stale) sessions at the old primary, \(fresh) at the new one"))
            }),
    ]
}
