import DispatchLoop
import DispatchPostgres
import Testing

@testable import DarumaService

/// A gate in simulated time, with the events of a pool whose grace is 750 ms, checked every 10 ms.
private struct World {
    var now = MonotonicTime(nanoseconds: 0)
    var gate = ReadinessGate()
    /// The changes of readiness.
    var flips: [(at: MonotonicTime, isReady: Bool)] = []

    /// A service whose database has been up for a minute.
    static var ready: World {
        var world = World()
        world.up(for: .seconds(60))
        world.flips = []
        return world
    }

    var isReady: Bool { gate.isReady(at: now) }

    mutating func up(for duration: Duration) {
        gate.databaseIs(.up, at: now)
        pass(duration)
    }

    /// The database fails: suspect for the grace, then down.
    mutating func away(for duration: Duration, as health: DatabaseState = .down) {
        gate.databaseIs(.suspect, at: now)
        let grace = Duration.milliseconds(750)
        pass(min(duration, grace))
        guard duration > grace else { return }
        report(health)
        pass(duration - grace)
    }

    mutating func report(_ health: DatabaseState) {
        let wasReady = isReady
        gate.databaseIs(health, at: now)
        note(wasReady)
    }

    private mutating func pass(_ duration: Duration) {
        let end = now + duration
        while now < end {
            let wasReady = isReady
            now = min(now + .milliseconds(10), end)
            note(wasReady)
        }
    }

    private mutating func note(_ wasReady: Bool) {
        if isReady != wasReady { flips.append((now, isReady)) }
    }
}

@Suite struct ReadinessGateTests {
    @Test("it is not ready before the first connection, and ready soon after")
    func boot() {
        var world = World()
        #expect(!world.isReady)
        world.away(for: .seconds(5))
        #expect(!world.isReady)
        world.up(for: .milliseconds(240))
        #expect(!world.isReady)
        world.up(for: .milliseconds(10))
        #expect(world.isReady)
    }

    @Test(
        "a single stop and start each show within a second",
        arguments: [Duration.seconds(1), .seconds(3), .seconds(60), .seconds(3600)])
    func single(outage: Duration) throws {
        var world = World.ready
        let stop = world.now
        world.away(for: outage)
        let start = world.now
        world.up(for: .seconds(10))
        try #require(world.flips.map(\.isReady) == [false, true])
        #expect(world.flips[0].at - stop <= .seconds(1))
        #expect(world.flips[1].at - start <= .milliseconds(500))
    }

    @Test("a stop soon after the start of the service is no flap")
    func afterBoot() {
        var world = World()
        world.up(for: .seconds(1))
        world.away(for: .seconds(2))
        #expect(world.gate.stabilization == ReadinessGate.firstStabilization)
        world.up(for: .milliseconds(250))
        #expect(world.isReady)
    }

    @Test("a stop and start every few seconds shows each time, within a second")
    func repeated() {
        var world = World.ready
        for round in 1...20 {
            world.away(for: .seconds(3))
            let start = world.now
            world.up(for: .seconds(3))
            #expect(world.flips.count == 2 * round)
            #expect((world.flips.last?.at ?? start) - start <= .milliseconds(500))
        }
    }

    @Test("an interruption within the grace does not show", arguments: 1...7)
    func short(tenths: Int) {
        var world = World.ready
        for _ in 0..<50 {
            world.away(for: .milliseconds(100 * Int64(tenths)))
            world.up(for: .milliseconds(200))
        }
        #expect(world.flips.isEmpty)
    }

    @Test(
        "rejected logins and the wrong role make it not ready too",
        arguments: [DatabaseState.misconfigured, .readOnly, .draining, .closed])
    func otherReasons(health: DatabaseState) {
        var world = World.ready
        world.report(health)
        #expect(!world.isReady)
        world.up(for: .seconds(1))
        #expect(world.isReady)
    }

    @Test("an outage whose cause changes counts once")
    func changingReason() {
        var world = World.ready
        for _ in 0..<10 {
            for health in [DatabaseState.down, .misconfigured, .readOnly] { world.report(health) }
        }
        #expect(world.gate.flaps == 0)
        #expect(world.gate.stabilization == ReadinessGate.firstStabilization)
    }

    @Test(
        "a flapping database shows as back once, and then not until it stays up",
        arguments: [200, 500, 760, 1000, 1500, 2000], [200, 500, 760, 1000, 1500, 2000])
    func flapping(up: Int, away: Int) {
        var world = World.ready
        for _ in 0..<60 {
            world.away(for: .milliseconds(away))
            world.up(for: .milliseconds(up))
        }
        // Not ready, ready once, not ready: at the first recovery the gate cannot know that it will be short.
        #expect(world.flips.count <= 3, "\(world.flips)")
        world.up(for: ReadinessGate.longestStabilization)
        #expect(world.isReady)
    }

    @Test("any trouble restarts the stabilization")
    func troubleWhileWaiting() {
        var world = World.ready
        for _ in 0..<3 {
            world.away(for: .seconds(1))
            world.up(for: .seconds(1))
        }
        let stabilization = world.gate.stabilization
        #expect(stabilization > ReadinessGate.flapWindow)
        world.away(for: .seconds(1))
        world.up(for: stabilization - .milliseconds(100))
        world.away(for: .milliseconds(100))
        world.up(for: stabilization - .milliseconds(100))
        #expect(!world.isReady)
    }

    @Test("the stabilization doubles up to a limit and resets after half a minute")
    func memory() {
        var world = World.ready
        var stabilizations: [Duration] = []
        for _ in 0..<8 {
            world.away(for: .seconds(1))
            stabilizations.append(world.gate.stabilization)
            world.up(for: .seconds(1))
        }
        #expect(stabilizations == [.milliseconds(250)] + [3, 6, 12, 12, 12, 12, 12].map { .seconds($0) })
        world.up(for: .seconds(31))
        world.away(for: .seconds(1))
        #expect(world.gate.stabilization == ReadinessGate.firstStabilization)
    }

    @Test("reports the rest of the stabilization")
    func remaining() {
        var world = World.ready
        world.away(for: .seconds(2))
        #expect(world.gate.remaining(at: world.now) == nil)
        world.up(for: .milliseconds(100))
        #expect(world.gate.remaining(at: world.now) == .milliseconds(150))
        world.up(for: .milliseconds(150))
        #expect(world.gate.remaining(at: world.now) == nil)
    }

    @Test(
        "at random: at most three flips with periods of 0.2 to 2 s, never ready while down, ready once it stays up"
    )
    func random() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SplitMix64(seed: seed)
        for _ in 0..<60 {
            var world = World.ready
            for _ in 0..<Int.random(in: 1...60, using: &random) {
                let away = Int64.random(in: 200...2000, using: &random)
                world.away(for: .milliseconds(away))
                if away > 750 { #expect(!world.isReady, "seed \(seed)") }
                world.up(for: .milliseconds(Int64.random(in: 200...2000, using: &random)))
            }
            #expect(world.flips.count <= 3, "seed \(seed)")
            world.up(for: ReadinessGate.longestStabilization)
            #expect(world.isReady, "seed \(seed)")
        }
    }
}
