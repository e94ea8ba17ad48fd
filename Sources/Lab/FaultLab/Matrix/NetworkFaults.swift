import PostgresTestKit

/// Faults of the way between service and database, made by the relay.
extension Fault {
    static let network = [
        Fault(
            "black-hole", title: "the network swallows everything, and all ten connections are dead for good",
            ending: "new connections come through", expecting: .silent,
            setup: FaultSetup(fillsPool: true, pingClients: 16, hold: .seconds(8), quickHold: .seconds(4)),
            begin: { stage in
                let relay = try stage.relay()
                relay.behave(.blackHole)
                relay.forgetAll()
            }, end: { try $0.relay().behave(.forwarding) }),
        Fault(
            "black-hole-in-query", title: "the network swallows everything in the middle of queries",
            ending: "new connections come through", expecting: .silent,
            setup: FaultSetup(fillsPool: true, pingClients: 16, hold: .seconds(5), quickHold: .seconds(3)),
            begin: { stage in
                let relay = try stage.relay()
                // Queries get through, answers are on the way: then it goes dark.
                relay.behave(RelayBehaviour(toClient: .stalled))
                try await stage.pause(.milliseconds(60))
                relay.behave(.blackHole)
                relay.forgetAll()
            }, end: { try $0.relay().behave(.forwarding) }),
        Fault(
            "forgotten", title: "a firewall forgets all open connections, new ones work", ending: nil,
            expecting: .unseen, setup: FaultSetup(fillsPool: true),
            begin: { stage in
                try stage.relay().forgetAll()
                try await stage.pause(.seconds(3))
            }),
        Fault(
            "resets", title: "all connections are reset every 500 ms", ending: nil, expecting: .unseen,
            setup: FaultSetup(usesRelay: true, pingClients: 16),
            begin: { stage in
                let relay = try stage.relay()
                try await stage.repeatedly(stage.amount(20, quick: 6), every: .milliseconds(500)) { _ in
                    relay.resetAll()
                    try await stage.letStruckRequestsEnd()
                }
            }),
        Fault(
            "half-open", title: "connections are closed in one direction, then in the other", ending: nil,
            expecting: .unseen, setup: FaultSetup(fillsPool: true),
            begin: { stage in
                let relay = try stage.relay()
                try await stage.repeatedly(stage.amount(4, quick: 2), every: .milliseconds(500)) { turn in
                    if turn % 2 == 0 { relay.closeToClient() } else { relay.closeToServer() }
                }
            }),
        Fault(
            "slow-network", title: "the network carries 1 kB/s", ending: "the network is fast again",
            expecting: .tolerated(back: .milliseconds(300)),
            setup: FaultSetup(usesRelay: true, hold: .seconds(6), quickHold: .seconds(3)),
            begin: { stage in
                let slow = RelayBehaviour.Flow.throttled(bytesPerSecond: 1000)
                try stage.relay().behave(RelayBehaviour(toServer: slow, toClient: slow))
            }, end: { try $0.relay().behave(.forwarding) }),
        // The service has no slow route; answers that are slow for everybody keep its pool as busy as one
        // would: ten connections of 250 ms are 40 answers a second, and 100 clients want more.
        Fault(
            "saturated", title: "answers take 250 ms, and 100 clients want one each", ending: "answers are fast again",
            expecting: .tolerated(back: .seconds(1)),
            setup: FaultSetup(
                fillsPool: true, pingClients: 100, interval: .milliseconds(50), hold: .seconds(5),
                quickHold: .seconds(3)),
            begin: { try $0.relay().behave(RelayBehaviour(toClient: .delayed(.milliseconds(250)))) },
            end: { stage in
                try stage.relay().behave(.forwarding)
                let codes = stage.timeline.exchanges(on: "/ping").compactMap(\.errorCode)
                let saturated = codes.count { $0 == "POOL_SATURATED" }
                // Who gets a connection at the last moment has too little time left for the answer.
                let tooLate = codes.count { $0 == "QUERY_TIMEOUT" }
                stage.verdict(
                    Check(
                        isKept: saturated > 0 && saturated + tooLate == codes.count,
                        text: "of \(codes.count) failing /ping \(saturated) said POOL_SATURATED, \(tooLate) "
                            + "QUERY_TIMEOUT, \(codes.count - saturated - tooLate) anything else (which none may)"))
            }),
    ]

    /// Connects while the database is down, counted where they arrive: the relay takes each one, finds
    /// nobody behind it, and resets it.
    static let connectRates = [(0, 5), (4, 20), (64, 20)].map { clients, limit in
        Fault(
            "connects-\(clients)", title: "the database is stopped, with \(clients) clients asking",
            ending: "the database is started",
            expecting: clients == 0 ? .unasked(back: .milliseconds(300)) : .refused,
            setup: FaultSetup(usesRelay: true, pingClients: clients, hold: .zero, quickHold: .zero),
            begin: { stage in
                let relay = try stage.relay()
                try await stage.sandbox().stop(.fast)
                try await stage.pause(.seconds(1))
                var busiest = 0
                let first = relay.statistics.accepted
                let seconds = stage.amount(6, quick: 3)
                for _ in 0..<seconds {
                    let before = relay.statistics.accepted
                    try await stage.pause(.seconds(1))
                    busiest = max(busiest, relay.statistics.accepted - before)
                }
                let total = relay.statistics.accepted - first
                stage.verdict(
                    Check(
                        isKept: busiest <= limit && total > 0, isTiming: true,
                        text: "\(total) connects in \(seconds) s while down, \(busiest) in the busiest second "
                            + "(at most \(limit))"))
            }, end: { try await $0.sandbox().start() })
    }
}
