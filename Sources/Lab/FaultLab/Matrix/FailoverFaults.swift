import PostgresTestKit

/// A primary and its streaming standby, and a service that knows both.
extension Fault {
    static let failovers = [
        Fault(
            "failover", title: "the primary is stopped", ending: "the standby is promoted", expecting: .refused,
            setup: FaultSetup(
                prepare: { stage in
                    let primary = try stage.sandbox()
                    let standby = try await PostgresSandbox.makeStandby(of: primary)
                    stage.enter(second: standby)
                    try await standby.start()
                    try await stage.await("the standby's stream") {
                        try await primary.execute("select count(*) from pg_stat_replication where state = 'streaming'")
                            == "1"
                    }
                    stage.launch.databaseURL = primary.connectionURL(
                        alternatives: [standby], parameters: ["target_session_attrs": "read-write"])
                }),
            begin: { try await $0.database.stop(.fast) },
            end: { stage in
                let standby = try stage.second()
                try await standby.promote()
                try await stage.await("the end of the standby's recovery") {
                    try await standby.execute("select pg_is_in_recovery()") == "f"
                }
            }),
        Fault(
            "old-primary-returns", title: "after a failover the old primary comes back, read-only", ending: nil,
            expecting: .unseen,
            setup: FaultSetup(
                boot: .stopped,
                prepare: { stage in
                    let old = try stage.sandbox()
                    try await old.start()
                    try await old.set(["default_transaction_read_only": "on"])
                    try await old.stop(.fast)
                    let new = try await PostgresSandbox.make()
                    stage.enter(second: new)
                    try await new.start()
                    stage.launch.databaseURL = old.connectionURL(
                        alternatives: [new], parameters: ["target_session_attrs": "read-write"])
                }),
            begin: { stage in
                let old = try stage.sandbox()
                let new = try stage.second()
                try await stage.await("the first good /ping") {
                    stage.timeline.exchanges(on: "/ping").contains(where: \.isGood)
                }
                try await old.start()
                // Ended sessions make the service connect again, to the old one first.
                try await stage.repeatedly(stage.amount(6, quick: 3), every: .milliseconds(500)) { _ in
                    try await new.terminateSessions()
                }
                let (stale, fresh) = (try await old.sessionCount(), try await new.sessionCount())
                stage.verdict(
                    Check(
                        isKept: stale == 0 && fresh > 0,
                        text: "\(stale) sessions at the old primary, \(fresh) at the new one"))
            }),
    ]
}
