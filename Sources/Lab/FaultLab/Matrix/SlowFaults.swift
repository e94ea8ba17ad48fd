import PostgresTestKit

/// Faults of a database that is slow but answers. The service must not report it as down.
extension Fault {
    /// The server's messages in a login: TLS yes or no, the method, the challenge, the end of authentication.
    private static let answersOfLogin = 4
    // The bounds below were widened while a bug of hedged queries caused extra connects and late answers. The bug is
    // fixed; the bounds have not been measured again since.

    /// How long `/ping` may fail when the pool is empty, in delays of one answer. The delays alone account for about 7.
    /// 12 covers two consecutive logins, the statement, and three more: a request that gets its connection too late to
    /// succeed keeps it busy for one answer.
    private static let answersUntilFirst = 2 * answersOfLogin + 4
    /// New connections when the database becomes slow and the pool is full: one login of a probe, and cancel requests for
    /// the statements that hedges left behind. Before hedging this was 0.
    private static let connectsOfDoubt = 4
    /// New connections when the pool is empty, in `slow-growth`: twice the pool's maximum of 10, and as many cancel
    /// requests for each `/ping` that fails before the pool has grown.
    private static let connectsOfGrowth = 40
    /// The same in `slow-boot`, whose pool fills once and not after each of two resets.
    private static let connectsOfBoot = 20

    private static func delay(_ context: FaultContext, _ flow: RelayBehaviour.Flow, for time: Duration) async throws {
        try context.relay().behave(RelayBehaviour(toClient: flow))
        try await context.pause(time)
    }

    /// Checks that during `body` the service closed no connection, opened few, and (with `isQuiet`) logged nothing.
    private static func checkingPatience(
        _ context: FaultContext, newAllowed: Int, isQuiet: Bool = true, _ body: () async throws -> Void
    ) async throws {
        let relay = try context.relay()
        let (begin, before) = (ContinuousClock.now, relay.statistics)
        let lines = try context.logLines().count
        try await body()
        let (time, after) = (ContinuousClock.now - begin, relay.statistics)
        relay.behave(.forwarding)
        for check in Check.patience(before, after, in: time, newAllowed: newAllowed) { context.check(check) }
        if isQuiet { context.check(.silence(Array(try context.logLines().dropFirst(lines)))) }
    }

    static let slowness = [
        Fault(
            "slow-database", title: "answers take 310, 500, 900 ms, then ever longer, then random times",
            ending: nil, expecting: .unseen, setup: FaultSetup(fillsPool: true),
            begin: { context in
                try await checkingPatience(context, newAllowed: connectsOfDoubt) {
                    let step = context.amount(Duration.seconds(4), quick: .milliseconds(1_200))
                    for delay in [310, 500, 900] {
                        try await Fault.delay(context, .delayed(.milliseconds(delay)), for: step)
                    }
                    for delay in stride(from: 0, through: 900, by: 50) {
                        try await Fault.delay(
                            context, .delayed(.milliseconds(delay)),
                            for: context.amount(.milliseconds(300), quick: .milliseconds(80)))
                    }
                    try await Fault.delay(context, .jittered(.zero ... .milliseconds(500)), for: step)
                }
            }),
        Fault(
            "slow-growth", title: "answers take 500 ms, then 900 ms, and all connections are reset", ending: nil,
            expecting: .unseen, setup: FaultSetup(usesRelay: true),
            begin: { context in
                // The service logs the resets, so the log is not checked.
                try await checkingPatience(context, newAllowed: connectsOfGrowth, isQuiet: false) {
                    for delay in context.amount([500, 900], quick: [500]) {
                        let delay = Duration.milliseconds(delay)
                        try context.relay().behave(RelayBehaviour(toClient: .delayed(delay)))
                        context.excuse(
                            for: delay * answersUntilFirst,
                            because:
                                "the time of two logins, one after the other, and of four answers, for an empty pool"
                        )
                        // A reset takes effect at once; the server's own message would be delayed too.
                        try context.relay().resetAll()
                        try await context.pause(
                            delay * answersUntilFirst + context.amount(.seconds(4), quick: .seconds(2)))
                    }
                }
            }),
        Fault(
            "slow-boot", title: "the service starts, and answers take 500 ms", ending: nil, expecting: .unseen,
            setup: FaultSetup(
                usesRelay: true, boot: .stopped,
                prepare: { context in
                    try await context.sandbox().start()
                    try context.relay().behave(RelayBehaviour(toClient: .delayed(.milliseconds(500))))
                }),
            begin: { context in
                let first = Duration.milliseconds(500) * answersUntilFirst
                context.excuse(
                    for: first, because: "the time of two logins, one after the other, and of four answers, at boot")
                try await checkingPatience(context, newAllowed: connectsOfBoot, isQuiet: false) {
                    try await context.pause(first + context.amount(.seconds(5), quick: .seconds(2)))
                }
            }),
        Fault(
            "becomes-slow", title: "answers suddenly take 500 ms, then none, again and again", ending: nil,
            expecting: .unseen, setup: FaultSetup(fillsPool: true, pingClients: 8),
            begin: { context in
                try await checkingPatience(context, newAllowed: connectsOfDoubt) {
                    for _ in 0..<context.amount(3, quick: 1) {
                        try await Fault.delay(context, .delayed(.milliseconds(500)), for: .milliseconds(2_500))
                        try await Fault.delay(context, .forwarding, for: .seconds(1))
                    }
                }
            }),
    ]
}
