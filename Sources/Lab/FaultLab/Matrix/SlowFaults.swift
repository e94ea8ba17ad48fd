import PostgresTestKit

/// A database that takes its time and answers all the same: slow is not down.
extension Fault {
    /// What a log-in takes of answers: whether TLS is to be had, the method, the challenge, the session.
    private static let answersOfLogin = 4
    /// Until all clients have had an answer where there is no connection to begin with: one log-in, those that follow when
    /// the server has answered something in it, the statement's own answer, and three more: whoever is given a
    /// connection too late to be answered in time keeps it busy for as long as an answer takes.
    private static let answersUntilFirst = 2 * answersOfLogin + 4

    /// Where the database becomes slow: a log-in for the doubt, and a connection for each request to cancel what a hedge has
    /// left behind.
    private static let connectsOfDoubt = 4

    private static func delay(_ stage: FaultContext, _ flow: RelayBehaviour.Flow, for time: Duration) async throws {
        try stage.relay().behave(RelayBehaviour(toClient: flow))
        try await stage.pause(time)
    }

    /// Checks over the time of `body` that nobody was cut off, connected for nothing, or (where `isQuiet`) told of it.
    private static func patiently(
        _ stage: FaultContext, newAllowed: Int, isQuiet: Bool = true, _ body: () async throws -> Void
    ) async throws {
        let relay = try stage.relay()
        let (begin, before) = (ContinuousClock.now, relay.statistics)
        let lines = try stage.logLines().count
        try await body()
        let (time, after) = (ContinuousClock.now - begin, relay.statistics)
        relay.behave(.forwarding)
        for verdict in Check.patience(before, after, in: time, newAllowed: newAllowed) { stage.verdict(verdict) }
        if isQuiet { stage.verdict(.silence(Array(try stage.logLines().dropFirst(lines)))) }
    }

    static let slowness = [
        Fault(
            "slow-database", title: "answers take 310, 500, 900 ms, then ever longer, then now this and now that",
            ending: nil, expecting: .unseen, setup: FaultSetup(fillsPool: true),
            begin: { stage in
                try await patiently(stage, newAllowed: connectsOfDoubt) {
                    let step = stage.amount(Duration.seconds(4), quick: .milliseconds(1_200))
                    for delay in [310, 500, 900] {
                        try await Fault.delay(stage, .delayed(.milliseconds(delay)), for: step)
                    }
                    for delay in stride(from: 0, through: 900, by: 50) {
                        try await Fault.delay(
                            stage, .delayed(.milliseconds(delay)),
                            for: stage.amount(.milliseconds(300), quick: .milliseconds(80)))
                    }
                    try await Fault.delay(stage, .jittered(.zero ... .milliseconds(500)), for: step)
                }
            }),
        Fault(
            "slow-growth", title: "answers take 500 ms, then 900 ms, and all connections are reset", ending: nil,
            expecting: .unseen, setup: FaultSetup(usesRelay: true),
            begin: { stage in
                // Resets are told of in the log; here only patience is judged.
                // Twice as many as there may be, and a request to cancel for each /ping that fails before there are enough.
                try await patiently(stage, newAllowed: 40, isQuiet: false) {
                    for delay in stage.amount([500, 900], quick: [500]) {
                        let delay = Duration.milliseconds(delay)
                        try stage.relay().behave(RelayBehaviour(toClient: .delayed(delay)))
                        stage.excuse(
                            for: delay * answersUntilFirst,
                            because:
                                "the time of two log-ins, one after the other, and of four answers, for a pool that is empty"
                        )
                        // At once, where the server's own word of the end would come late as well.
                        try stage.relay().resetAll()
                        try await stage.pause(delay * answersUntilFirst + stage.amount(.seconds(4), quick: .seconds(2)))
                    }
                }
            }),
        Fault(
            "slow-boot", title: "the service starts, and answers take 500 ms", ending: nil, expecting: .unseen,
            setup: FaultSetup(
                usesRelay: true, boot: .stopped,
                prepare: { stage in
                    try await stage.sandbox().start()
                    try stage.relay().behave(RelayBehaviour(toClient: .delayed(.milliseconds(500))))
                }),
            begin: { stage in
                let first = Duration.milliseconds(500) * answersUntilFirst
                stage.excuse(
                    for: first, because: "the time of two log-ins, one after the other, and of four answers, at boot")
                try await patiently(stage, newAllowed: 20, isQuiet: false) {
                    try await stage.pause(first + stage.amount(.seconds(5), quick: .seconds(2)))
                }
            }),
        Fault(
            "becomes-slow", title: "answers suddenly take 500 ms, then none, again and again", ending: nil,
            expecting: .unseen, setup: FaultSetup(fillsPool: true, pingClients: 8),
            begin: { stage in
                try await patiently(stage, newAllowed: connectsOfDoubt) {
                    for _ in 0..<stage.amount(3, quick: 1) {
                        try await Fault.delay(stage, .delayed(.milliseconds(500)), for: .milliseconds(2_500))
                        try await Fault.delay(stage, .forwarding, for: .seconds(1))
                    }
                }
            }),
    ]
}
