import DispatchLoop
import Glibc
import PostgresSession
import Testing

@testable import DispatchPostgres

/// Many simulated runs of a pool. A failing run reports its seed.
@Suite struct PoolSimulationTests {
    private static let start = MonotonicTime(nanoseconds: 1_000_000_000)
    /// The number of runs of each kind; `DARUMA_SIMULATION_RUNS` sets more.
    private static let runs = getenv("DARUMA_SIMULATION_RUNS").flatMap { Int(String(cString: $0)) } ?? 40

    private func server(_ phases: [ModelServer.Phase], seed: Int, maximum: Int = 100) -> ModelServer {
        ModelServer(phases: phases, maximumSessions: maximum, random: SplitMix64(seed: UInt64(seed) &+ 77))
    }

    private func phase(at seconds: Double, _ change: (inout ModelServer.Phase) -> Void = { _ in }) -> ModelServer.Phase
    {
        var phase = ModelServer.Phase(begins: Self.start + .milliseconds(Int64(seconds * 1000)))
        change(&phase)
        return phase
    }

    @Test("no query fails while every answer is within its deadline, however slow, and however that changes")
    func slow() {
        for seed in 0..<Self.runs {
            var random = SplitMix64(seed: UInt64(seed))
            var phases: [ModelServer.Phase] = []
            for index in 0..<3 {
                phases.append(
                    phase(at: Double(index) * 20) {
                        let latency = Int.random(in: 1...900, using: &random)
                        $0.latency = .milliseconds(latency)
                        $0.jitter = .milliseconds(Int.random(in: 0...(900 - latency), using: &random))
                    })
            }
            var world = PoolSimulation(
                server: server(phases, seed: seed), clients: Int.random(in: 1...8, using: &random), seed: UInt64(seed))
            world.run(for: .seconds(60))
            // Some clients must wait until the pool has as many connections as clients.
            let settled = Self.start + .seconds(18)
            let late = world.failures.filter { $0.at > settled }
            #expect(late.isEmpty, "seed \(seed): \(late.prefix(3)) of \(world.good.count)")
            #expect(
                Set(world.closeReasons).isSubset(of: [.madeRoom, .overtaken, .hung]),
                "seed \(seed): \(world.closeReasons)")
            #expect(world.hedges * 20 <= world.queries + 20, "seed \(seed): \(world.hedges) hedges of \(world.queries)")
            #expect(world.mostAtServer <= 12, "seed \(seed): \(world.mostAtServer)")
            let falls = world.healthChanges.filter { $0.to != .up && $0.at > settled }
            #expect(falls.isEmpty, "seed \(seed): \(falls)")
        }
    }

    @Test("after a slow database has reset all sessions, all clients are served after two logins and a few answers")
    func resetWhileSlow() {
        for seed in 0..<Self.runs {
            var random = SplitMix64(seed: UInt64(seed) + 50_000)
            let latency = Duration.milliseconds(Int.random(in: 1...900, using: &random))
            let phases = [
                phase(at: 0) { $0.latency = latency },
                phase(at: 20) {
                    $0.latency = latency
                    $0.resets = true
                },
            ]
            var world = PoolSimulation(server: server(phases, seed: seed), clients: 4, seed: UInt64(seed))
            world.run(for: .seconds(40))
            let settled = phases[1].begins + latency * 10 + .milliseconds(200)
            let late = world.failures.filter { $0.at > settled }
            #expect(late.isEmpty, "seed \(seed), \(latency): \(late.prefix(3)), settled at \(settled)")
        }
    }

    @Test("with packet loss as well, almost no query fails, and there is no outage")
    func losses() {
        for seed in 0..<Self.runs {
            var random = SplitMix64(seed: UInt64(seed) + 10_000)
            let phases = [
                phase(at: 0) {
                    $0.latency = .milliseconds(Int.random(in: 1...300, using: &random))
                    $0.lossPerMille = Int.random(in: 1...20, using: &random)
                }
            ]
            var world = PoolSimulation(server: server(phases, seed: seed), clients: 4, seed: UInt64(seed))
            world.run(for: .seconds(30))
            let late = world.failures.filter { $0.at > Self.start + .seconds(8) }
            #expect(late.isEmpty, "seed \(seed): \(late.prefix(3)) of \(world.good.count)")
        }
    }

    @Test("sessions at the server never exceed the maximum, apart from logins and a cancel request")
    func nothingLeft() {
        for seed in 0..<Self.runs {
            var random = SplitMix64(seed: UInt64(seed) + 20_000)
            let maximum = Int.random(in: 1...10, using: &random)
            var phases: [ModelServer.Phase] = [phase(at: 0)]
            for index in 1...6 {
                phases.append(
                    phase(at: Double(index) * 8) {
                        $0.latency = .milliseconds(Int.random(in: 1...200, using: &random))
                        switch Int.random(in: 0..<5, using: &random) {
                        case 0: $0.isLocked = true
                        case 1: $0.login = .seconds(Int.random(in: 1...7, using: &random))
                        case 2: $0.door = .refusing
                        case 3: $0.door = .stuck
                        default: break
                        }
                    })
            }
            phases.append(phase(at: 56))
            var world = PoolSimulation(
                server: server(phases, seed: seed), clients: Int.random(in: 1...12, using: &random), seed: UInt64(seed)
            ) {
                $0.maximum = maximum
                $0.minimum = min($0.minimum, maximum)
            }
            world.run(for: .seconds(70))
            #expect(world.mostAtServer <= maximum + 2, "seed \(seed): \(world.mostAtServer) of \(maximum)")
            for phase in phases where phase.door != .open {
                let busiest = world.busiestSecond(from: phase.begins, to: phase.begins + .seconds(8))
                #expect(busiest <= 20, "seed \(seed): \(busiest) connects in a second")
            }
            let end = world.good.count { $0 > Self.start + .seconds(66) }
            #expect(end > 0, "seed \(seed): not back; \(world.machine.health)")
        }
    }

    @Test(
        "the pool recovers within one probe from refused connects, with and without requests", arguments: [0, 1, 4, 24])
    func back(clients: Int) {
        for seed in 0..<Self.runs / (clients > 4 ? 10 : 1) {
            var random = SplitMix64(seed: UInt64(seed) + 30_000)
            let away = Double.random(in: 0.1...5, using: &random)
            let phases = [phase(at: 0), phase(at: 5) { $0.door = .refusing }, phase(at: 5 + away)]
            var world = PoolSimulation(server: server(phases, seed: seed), clients: clients, seed: UInt64(seed))
            world.run(for: .seconds(12))
            let end = phases[2].begins
            let up = world.healthChanges.first { $0.to == .up && $0.at >= end }?.at
            let limit: Duration = clients == 0 ? .milliseconds(300) : .milliseconds(100)
            if let up { #expect(up - end <= limit, "seed \(seed): back after \(up - end)") }
            #expect(world.machine.health == .up, "seed \(seed)")
            let bad = world.failures.filter { failure in world.good.contains { $0 > end && $0 < failure.at } }
            #expect(bad.isEmpty, "seed \(seed): failures after the first good one: \(bad.prefix(3))")
            let busiest = world.busiestSecond(from: phases[1].begins, to: end)
            #expect(busiest <= 20, "seed \(seed): \(busiest)")
            if clients == 0 {
                let alone = world.connects.count { $0 > phases[1].begins && $0 < end }
                #expect(Double(alone) <= 5 * away + 6, "seed \(seed): \(alone) connects in \(away) s")
            }
        }
    }

    @Test("a full server shared with another pool gets at most twenty connects a second")
    func shared() {
        for seed in 0..<Self.runs / 5 {
            var random = SplitMix64(seed: UInt64(seed) + 40_000)
            var model = server([phase(at: 0)], seed: seed, maximum: 12)
            model.foreignSessions = Int.random(in: 4...11, using: &random)
            var world = PoolSimulation(server: model, clients: 15, seed: UInt64(seed))
            world.run(for: .seconds(4))
            let busiest = world.busiestSecond(from: Self.start + .seconds(1), to: .distantFuture)
            #expect(busiest <= 20, "seed \(seed): \(busiest)")
            #expect(world.failures.isEmpty, "seed \(seed): \(world.failures.prefix(3))")
        }
    }
}
