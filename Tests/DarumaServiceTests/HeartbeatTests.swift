import DispatchLoop
import Testing

@testable import DarumaService

/// A simulated loop that serves probes before timers, as the real one does.
private final class Loop {
    var now = MonotonicTime(nanoseconds: 1_000_000_000)
    var heartbeat: Heartbeat

    init(limit: Duration = .seconds(5)) {
        heartbeat = Heartbeat(limit: limit, at: now)
    }

    /// Runs one round. Returns the probe's answer in it.
    func round(firesTimers: Bool = true) -> Bool {
        let answer = heartbeat.isHealthy(at: now)
        if firesTimers, heartbeat.due <= now { _ = heartbeat.beat(at: now) }
        return answer
    }

    /// Runs on time, with a probe in every round. Returns whether all were healthy.
    func run(for duration: Duration, every step: Duration = .milliseconds(100)) -> Bool {
        let end = now + duration
        var isHealthy = true
        while now < end {
            now = now + step
            isHealthy = round() && isHealthy
        }
        return isHealthy
    }

    /// Halts the process, then runs one round.
    func halt(for duration: Duration) -> Bool {
        now = now + duration
        return round()
    }
}

@Suite struct HeartbeatTests {
    @Test("a loop that runs on time is healthy")
    func healthy() {
        let loop = Loop()
        #expect(loop.run(for: .seconds(600)))
        #expect(loop.heartbeat.stall(at: loop.now) == nil)
    }

    @Test(
        "one halt of any length is no failure",
        arguments: [Duration.seconds(4), .seconds(6), .seconds(60), .seconds(86_400)])
    func halted(duration: Duration) {
        let loop = Loop()
        #expect(loop.run(for: .seconds(10)))
        #expect(loop.halt(for: duration))
        #expect(loop.run(for: .seconds(10)))
    }

    @Test("a hundred probes that waited through a halt all succeed")
    func stormAfterHalt() {
        let loop = Loop()
        loop.now = loop.now + .seconds(60)
        for _ in 0..<100 { #expect(loop.round(firesTimers: false)) }
    }

    @Test("repeated halts with time in between are no failure")
    func haltedAgain() {
        let loop = Loop()
        for _ in 0..<20 {
            #expect(loop.halt(for: .seconds(30)))
            #expect(loop.run(for: .seconds(2)))
        }
    }

    @Test("a loop that is blocked repeatedly is unhealthy until a beat is on time")
    func blocked() {
        let loop = Loop()
        #expect(loop.halt(for: .seconds(7)))
        #expect(loop.halt(for: .seconds(7)))
        #expect(loop.halt(for: .seconds(7)))
        #expect(!loop.halt(for: .seconds(7)))
        #expect(!loop.halt(for: .seconds(7)))
        _ = loop.run(for: .seconds(2))
        #expect(loop.run(for: .seconds(60)))
    }

    @Test("a loop that runs without its timers is unhealthy")
    func starved() {
        let loop = Loop()
        loop.now = loop.now + .seconds(7)
        #expect(loop.round(firesTimers: false), "this may be the end of a halt")
        loop.now = loop.now + .milliseconds(1)
        #expect(!loop.round(firesTimers: false))
        loop.now = loop.now + .seconds(1)
        #expect(!loop.round())
        #expect(loop.round(), "the timer has fired")
    }

    @Test("lateness within the limit is no stall", arguments: [Duration.milliseconds(50), .seconds(1), .seconds(5)])
    func slightlyLate(limit: Duration) {
        let loop = Loop(limit: limit)
        for _ in 0..<100 {
            #expect(loop.halt(for: loop.heartbeat.interval + limit))
            #expect(loop.heartbeat.stall(at: loop.now) == nil)
        }
    }

    @Test("a stall is reported at its end and for a minute, with its length")
    func reported() throws {
        let loop = Loop()
        loop.now = loop.now + .seconds(61)
        #expect(loop.heartbeat.stall(at: loop.now)?.length == .seconds(60))
        let stall = loop.heartbeat.beat(at: loop.now)
        #expect(stall?.length == .seconds(60))
        #expect(loop.run(for: .seconds(59)))
        #expect(loop.heartbeat.stall(at: loop.now) == stall)
        #expect(loop.run(for: .seconds(2)))
        #expect(loop.heartbeat.stall(at: loop.now) == nil)
    }

    @Test("missed beats are not repeated")
    func noBurst() {
        let loop = Loop()
        _ = loop.halt(for: .seconds(100))
        #expect(loop.heartbeat.due == loop.now + .seconds(1))
    }

    @Test("at random: healthy after three beats on time, unhealthy only after three late ones")
    func random() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SplitMix64(seed: seed)
        for _ in 0..<2_000 {
            let loop = Loop(limit: .milliseconds(Int64.random(in: 10...10_000, using: &random)))
            var late = 0
            for _ in 0..<Int.random(in: 1...30, using: &random) {
                let pause = Duration.milliseconds(Int64.random(in: 0...30_000, using: &random))
                let isUnhealthy = late >= Heartbeat.maxLateBeats
                let due = loop.heartbeat.due
                loop.now = loop.now + pause
                let isBeat = loop.now >= due
                let isLate = loop.now - due > loop.heartbeat.limit
                #expect(loop.round() == !isUnhealthy, "seed \(seed)")
                if isBeat { late = isLate ? late + 1 : 0 }
            }
            _ = loop.run(for: .seconds(3), every: min(.milliseconds(100), loop.heartbeat.interval))
            #expect(loop.run(for: .seconds(1), every: .milliseconds(10)), "seed \(seed)")
        }
    }
}
