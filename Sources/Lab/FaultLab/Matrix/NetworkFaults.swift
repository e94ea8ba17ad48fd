import PostgresTestKit

/// Faults of the network between service and database, injected by the relay.
extension Fault {
    static let network = [
        Fault(
            "black-hole", title: "the network drops everything, and all ten connections stay dead",
            ending: "new connections work", expecting: .silentBehindAccepts,
            setup: FaultSetup(fillsPool: true, pingClients: 16, hold: .seconds(8), quickHold: .seconds(4)),
            begin: { context in
                let relay = try context.relay()
                relay.behave(.blackHole)
                relay.forgetAll()
            }, end: { try $0.relay().behave(.forwarding) }),
        Fault(
            "black-hole-in-query", title: "the network drops everything during queries",
            ending: "new connections work", expecting: .silentBehindAccepts,
            setup: FaultSetup(fillsPool: true, pingClients: 16, hold: .seconds(5), quickHold: .seconds(3)),
            begin: { context in
                let relay = try context.relay()
                // Queries reach the server, but their answers are lost.
                relay.behave(RelayBehaviour(toClient: .stalled))
                try await context.pause(.milliseconds(60))
                relay.behave(.blackHole)
                relay.forgetAll()
            }, end: { try $0.relay().behave(.forwarding) }),
        Fault(
            "forgotten", title: "a firewall forgets all open connections, new ones work", ending: nil,
            expecting: .unseen, setup: FaultSetup(fillsPool: true),
            begin: { context in
                try context.relay().forgetAll()
                try await context.pause(.seconds(3))
            }),
        Fault(
            "resets", title: "all connections are reset every 500 ms", ending: nil, expecting: .unseen,
            setup: FaultSetup(usesRelay: true, pingClients: 16),
            begin: { context in
                let relay = try context.relay()
                try await context.repeatedly(context.amount(20, quick: 6), every: .milliseconds(500)) { _ in
                    relay.resetAll()
                    try await context.waitForAffectedRequests()
                }
            }),
        Fault(
            "half-open", title: "connections are closed in one direction, then in the other", ending: nil,
            expecting: .unseen, setup: FaultSetup(fillsPool: true),
            begin: { context in
                let relay = try context.relay()
                try await context.repeatedly(context.amount(4, quick: 2), every: .milliseconds(500)) { turn in
                    if turn % 2 == 0 { relay.closeToClient() } else { relay.closeToServer() }
                }
            }),
        Fault(
            "slow-network", title: "the network carries 1 kB/s", ending: "the network is fast again",
            expecting: .tolerated(back: .milliseconds(300)),
            setup: FaultSetup(usesRelay: true, hold: .seconds(6), quickHold: .seconds(3)),
            begin: { context in
                let slow = RelayBehaviour.Flow.throttled(bytesPerSecond: 1000)
                try context.relay().behave(RelayBehaviour(toServer: slow, toClient: slow))
            }, end: { try $0.relay().behave(.forwarding) }),
        // The service has no slow route. Slow answers to all queries keep the pool equally busy: ten connections at
        // 250 ms give 40 answers a second, and 100 clients want more.
        Fault(
            "saturated", title: "answers take 250 ms, and 100 clients request /ping", ending: "answers are fast again",
            expecting: .tolerated(back: .seconds(1)),
            setup: FaultSetup(
                fillsPool: true, pingClients: 100, interval: .milliseconds(50), hold: .seconds(5),
                quickHold: .seconds(3)),
            begin: { try $0.relay().behave(RelayBehaviour(toClient: .delayed(.milliseconds(250)))) },
            end: { context in
                try context.relay().behave(.forwarding)
                let codes = context.timeline.exchanges(on: "/ping").compactMap(\.errorCode)
                let saturated = codes.count { $0 == "POOL_SATURATED" }
                // A request that gets its connection late has too little time left for the answer.
                let tooLate = codes.count { $0 == "QUERY_TIMEOUT" }
                context.check(
                    Check(
                        isKept: saturated > 0 && saturated + tooLate == codes.count,
                        text: "of \(codes.count) failing /ping \(saturated) said POOL_SATURATED, \(tooLate) "
                            + "QUERY_TIMEOUT, \(codes.count - saturated - tooLate) anything else (which none may)"))
            }),
    ]

    /// Counts connects while the database is down: the relay accepts each one, cannot connect to the server, and resets
    /// it.
    static let connectRates = [(0, 5), (4, 20), (64, 20)].map { clients, limit in
        Fault(
            "connects-\(clients)", title: "the database is stopped, with \(clients) clients of /ping",
            ending: "the database is started",
            expecting: clients == 0 ? .unasked(back: .milliseconds(300)) : .refused,
            setup: FaultSetup(usesRelay: true, pingClients: clients, hold: .zero, quickHold: .zero),
            begin: { context in
                let relay = try context.relay()
                try await context.sandbox().stop(.fast)
                try await context.pause(.seconds(1))
                var busiest = 0
                let first = relay.statistics.accepted
                let seconds = context.amount(6, quick: 3)
                for _ in 0..<seconds {
                    let before = relay.statistics.accepted
                    try await context.pause(.seconds(1))
                    busiest = max(busiest, relay.statistics.accepted - before)
                }
                let total = relay.statistics.accepted - first
                context.check(
                    Check(
                        isKept: busiest <= limit && total > 0, isTiming: true,
                        text: "\(total) connects in \(seconds) s while down, \(busiest) in the busiest second "
                            + "(at most \(limit))"))
            }, end: { try await $0.sandbox().start() })
    }
}
