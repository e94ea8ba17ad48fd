import PostgresTestKit

/// Faults of logins: slow, expensive, or refused.
extension Fault {
    private static let role = "app"
    private static let password = "s3cret-of-app"
    /// Verifiers of the password with the salt "daruma-lab-salt!": 1,000,000 iterations instead of PostgreSQL's 4096, and
    /// 50,000 for quick runs, where a sanitizer and the processes beside it make each twenty times as slow: with 200,000
    /// no login ended within its time limit. By PBKDF2 (RFC 5802 §3): StoredKey is H(HMAC(salted, "Client Key")),
    /// ServerKey HMAC(salted, "Server Key").
    private static let verifier =
        "SCRAM-SHA-256$1000000:ZGFydW1hLWxhYi1zYWx0IQ==$4WRbExapJLraSROeG+GWfzSlzVSH/enJMI53J3AmsGc=:"
        + "+ISCcmok0j8fss6oYaN+bhlNJlCZrvZMM5st924vaOw="
    private static let quickVerifier =
        "SCRAM-SHA-256$50000:ZGFydW1hLWxhYi1zYWx0IQ==$mkfULpAE4FMHlmCgHVjcb2aOKUCId9wGYQ+0+VK1q+0=:"
        + "ot5J49SOJB+2CpNpUc65lgreza3b23S8xbSZ3Puc29Y="

    static let logins = [
        Fault(
            "slow-log-in", title: "each login takes 7 s, and all sessions are ended", ending: nil,
            expecting: .tolerated(back: .milliseconds(300)), setup: FaultSetup(settings: ["autovacuum": "off"]),
            begin: { context in
                let sandbox = try context.sandbox()
                let login = Duration.seconds(7)
                // Without a statement: its login would be slow too.
                try await sandbox.setWithoutLogin(["post_auth_delay": "7"])
                let watch = SessionWatch(sandbox)
                let ended = ContinuousClock.now
                sandbox.signalSessions()
                let good = try await context.timeline.first(on: "/ping", within: .seconds(20)) {
                    $0.isGood && $0.begin >= ended + .milliseconds(500)
                }
                // Gives the other logins in progress time to end.
                try await context.pause(.seconds(2))
                context.check(.sessions(await watch.stop(), maximum: 10, extra: 2))
                let back = good.map { $0.end - ended }
                context.check(
                    Check(
                        isKept: back.map { $0 <= login + .seconds(1) } ?? false, isTiming: true,
                        text: "/ping was good again \(back?.shown ?? "never") after the sessions ended "
                            + "(at most \((login + .seconds(1)).shown))"))
                try await sandbox.setWithoutLogin(["post_auth_delay": "0"])
            }),
        Fault(
            "scram-rounds", title: "each login takes 1,000,000 rounds of a hash, and sessions are ended", ending: nil,
            expecting: .tolerated(back: .seconds(5)),
            setup: FaultSetup(
                prepare: { context in
                    let sandbox = try context.sandbox()
                    try await sandbox.execute("create role \(role) login password \(SQLText.literal(password))")
                    context.launch.databaseURL = sandbox.connectionURL(user: role, password: password)
                }),
            begin: { context in
                let sandbox = try context.sandbox()
                let begin = ContinuousClock.now
                // The same password with more iterations.
                let expensive = context.amount(verifier, quick: quickVerifier)
                try await sandbox.execute("alter role \(role) password \(SQLText.literal(expensive))")
                try await context.repeatedly(context.amount(3, quick: 1), every: .seconds(4)) { _ in
                    try await sandbox.terminateSessions()
                }
                let worst = context.timeline.exchanges(on: "/").filter { $0.end >= begin }.map(\.latency).max() ?? .zero
                context.check(
                    Check(
                        isKept: worst <= .milliseconds(50), isTiming: true,
                        text: "the slowest / took \(worst.shown) (at most 50 ms)"))
                // SIGTERM arrives during logins.
                context.beforeStop {
                    try await sandbox.terminateSessions()
                    try await context.pause(.milliseconds(100))
                }
            }),
        Fault(
            "password-rotated", title: "connections live for 2 s, and pg_hba.conf refuses new ones",
            ending: nil, expecting: .unseen,
            setup: FaultSetup(prepare: { $0.launch.environment["DARUMA_POOL_MAX_LIFETIME"] = "2s" }),
            begin: { context in
                let sandbox = try context.sandbox()
                let before = Set(try await sandbox.sessionProcesses())
                let lines = try context.logLines().count
                try await sandbox.setAuthentication(.reject)
                try await context.pause(context.amount(.seconds(10), quick: .seconds(5)))
                let logged = try context.logLines().dropFirst(lines)
                context.check(
                    Check(
                        isKept: (1...2).contains(logged.count),
                        text: "the service logged \(logged.count) lines (one, and one for the cause)"
                            + (logged.first.map { ": \($0.prefix(300))" } ?? "")))
                let old = before.union(try await sandbox.sessionProcesses())
                try await sandbox.setAuthentication(.scram)
                let begin = ContinuousClock.now
                let isReplaced = try await Deadline(in: .seconds(8)).wait(every: .milliseconds(100)) {
                    old.isDisjoint(with: try await sandbox.sessionProcesses())
                }
                context.check(
                    Check(
                        isKept: isReplaced,
                        text: isReplaced
                            ? "all connections were replaced \((ContinuousClock.now - begin).shown) after the fix"
                            : "connections were not replaced 8 s after the fix"))
            }),
    ]
}
