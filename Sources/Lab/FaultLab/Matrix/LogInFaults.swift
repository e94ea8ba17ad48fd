import PostgresTestKit

/// Log-ins that take long, take processor time, or are refused to newcomers only.
extension Fault {
    private static let role = "app"
    private static let password = "s3cret-of-app"
    /// Verifiers of that password, salted with "daruma-lab-salt!", at 1,000,000 rounds instead of the 4096 that PostgreSQL 15
    /// makes itself, and at 200,000 for those in a hurry, to whom a sanitizer may make each round several times as dear.
    /// Made by PBKDF2 (RFC 5802 §3): StoredKey is H(HMAC(salted, "Client Key")), ServerKey HMAC(salted, "Server Key").
    private static let verifier =
        "SCRAM-SHA-256$1000000:ZGFydW1hLWxhYi1zYWx0IQ==$4WRbExapJLraSROeG+GWfzSlzVSH/enJMI53J3AmsGc=:"
        + "+ISCcmok0j8fss6oYaN+bhlNJlCZrvZMM5st924vaOw="
    private static let quickVerifier =
        "SCRAM-SHA-256$200000:ZGFydW1hLWxhYi1zYWx0IQ==$fxjZYvUJXjjefI8BfnhgeBOCR2nlhpfeCCon0zzpHKk=:"
        + "U4niBWh/6Mda/0VVtoWUnmiozEkg74VrYWAPbQo2Lzc="

    static let logIns = [
        Fault(
            "slow-log-in", title: "each log-in takes 7 s, and all sessions are ended", ending: nil,
            expecting: .tolerated(back: .milliseconds(300)), setup: FaultSetup(settings: ["autovacuum": "off"]),
            begin: { stage in
                let sandbox = try stage.sandbox()
                let logIn = Duration.seconds(7)
                // Without a statement of ours: that would have to log in as well.
                try await sandbox.setUnasked(["post_auth_delay": "7"])
                let watch = SessionWatch(sandbox)
                let ended = ContinuousClock.now
                sandbox.signalSessions()
                let good = try await stage.timeline.first(on: "/ping", within: .seconds(20)) {
                    $0.isGood && $0.begin >= ended + .milliseconds(500)
                }
                // More log-ins than one are under way: they have time to show, and to end.
                try await stage.pause(.seconds(2))
                stage.verdict(.sessions(await watch.stop(), maximum: 10, extra: 2))
                let back = good.map { $0.end - ended }
                stage.verdict(
                    Check(
                        isKept: back.map { $0 <= logIn + .seconds(1) } ?? false, isTiming: true,
                        text: "/ping was good again \(back?.shown ?? "never") after the sessions ended "
                            + "(at most \((logIn + .seconds(1)).shown))"))
                try await sandbox.setUnasked(["post_auth_delay": "0"])
            }),
        Fault(
            "scram-rounds", title: "each log-in takes 1,000,000 rounds of a hash, and sessions are ended", ending: nil,
            expecting: .tolerated(back: .seconds(5)),
            setup: FaultSetup(
                prepare: { stage in
                    let sandbox = try stage.sandbox()
                    try await sandbox.execute("create role \(role) login password \(literal(password))")
                    stage.launch.databaseURL = sandbox.connectionURL(user: role, password: password)
                }),
            begin: { stage in
                let sandbox = try stage.sandbox()
                let begin = ContinuousClock.now
                // The same password, dearer to prove.
                let dear = stage.amount(verifier, quick: quickVerifier)
                try await sandbox.execute("alter role \(role) password \(literal(dear))")
                try await stage.repeatedly(stage.amount(3, quick: 1), every: .seconds(4)) { _ in
                    try await sandbox.terminateSessions()
                }
                let worst = stage.timeline.exchanges(on: "/").filter { $0.end >= begin }.map(\.latency).max() ?? .zero
                stage.verdict(
                    Check(
                        isKept: worst <= .milliseconds(50), isTiming: true,
                        text: "the slowest / took \(worst.shown) (at most 50 ms)"))
                // SIGTERM comes in the middle of log-ins.
                stage.beforeLeaving {
                    try await sandbox.terminateSessions()
                    try await stage.pause(.milliseconds(100))
                }
            }),
        Fault(
            "password-rotated", title: "connections may live for 2 s, and new ones are refused by pg_hba.conf",
            ending: nil, expecting: .unseen,
            setup: FaultSetup(prepare: { $0.launch.environment["DARUMA_POOL_MAX_LIFETIME"] = "2s" }),
            begin: { stage in
                let sandbox = try stage.sandbox()
                let before = Set(try await sandbox.sessionProcesses())
                let lines = try stage.logLines().count
                try await sandbox.setAuthentication(.reject)
                try await stage.pause(stage.amount(.seconds(10), quick: .seconds(5)))
                let told = try stage.logLines().dropFirst(lines)
                stage.verdict(
                    Check(
                        isKept: (1...2).contains(told.count),
                        text: "\(told.count) lines in the service's log told of it (one, and one for the cause)"
                            + (told.first.map { ": \($0.prefix(300))" } ?? "")))
                let old = before.union(try await sandbox.sessionProcesses())
                try await sandbox.setAuthentication(.scram)
                let begin = ContinuousClock.now
                let isReplaced = try await Deadline(in: .seconds(8)).wait(every: .milliseconds(100)) {
                    old.isDisjoint(with: try await sandbox.sessionProcesses())
                }
                stage.verdict(
                    Check(
                        isKept: isReplaced,
                        text: isReplaced
                            ? "all connections were replaced \((ContinuousClock.now - begin).shown) after it was mended"
                            : "connections were not replaced 8 s after it was mended"))
            }),
    ]
}
