import DispatchLoop
import Testing

@testable import DarumaService

/// A loop in make-believe time: turns when told to, serves probes before timers, as the real one does.
private final class Loop {
    var now = MonotonicTime(nanoseconds: 1_000_000_000)
    var heartbeat: Heartbeat

    init(limit: Duration = .seconds(5)) {
        heartbeat = Heartbeat(limit: limit, at: now)
    }

    /// One turn at the present time. Returns what a probe hears in it.
    func turn(firesTimers: Bool = true) -> Bool {
        let answer = heartbeat.isHealthy(at: now)
        if firesTimers, heartbeat.due <= now { _ = heartbeat.beat(at: now) }
        return answer
    }

    /// The loop turns as it should, and is probed in every turn.
    func run(for duration: Duration, every step: Duration = .milliseconds(100)) -> Bool {
        let end = now + duration
        var isHealthy = true
        while now < end {
            now = now + step
            isHealthy = turn() && isHealthy
        }
        return isHealthy
    }

    /// The process is halted, then turns once.
    func halt(for duration: Duration) -> Bool {
        now = now + duration
        return turn()
    }
}

@Suite struct HeartbeatTests {
    @Test("a loop that turns is well")
    func well() {
        let loop = Loop()
        #expect(loop.run(for: .seconds(600)))
        #expect(loop.heartbeat.stall(at: loop.now) == nil)
    }

    @Test(
        "a halt, however long, is not held against the loop that goes on",
        arguments: [Duration.seconds(4), .seconds(6), .seconds(60), .seconds(86_400)])
    func halted(duration: Duration) {
        let loop = Loop()
        #expect(loop.run(for: .seconds(10)))
        #expect(loop.halt(for: duration))
        #expect(loop.run(for: .seconds(10)))
    }

    @Test("a hundred probes that have waited through a halt all hear that it is over")
    func stormAfterHalt() {
        let loop = Loop()
        loop.now = loop.now + .seconds(60)
        for _ in 0..<100 { #expect(loop.turn(firesTimers: false)) }
    }

    @Test("halts again and again, with time to breathe in between, are not held against the loop")
    func haltedAgain() {
        let loop = Loop()
        for _ in 0..<20 {
            #expect(loop.halt(for: .seconds(30)))
            #expect(loop.run(for: .seconds(2)))
        }
    }

    @Test("a loop that something holds up again and again is not well, until a beat is on time")
    func heldUp() {
        let loop = Loop()
        #expect(loop.halt(for: .seconds(7)))
        #expect(loop.halt(for: .seconds(7)))
        #expect(loop.halt(for: .seconds(7)))
        #expect(!loop.halt(for: .seconds(7)))
        #expect(!loop.halt(for: .seconds(7)))
        _ = loop.run(for: .seconds(2))
        #expect(loop.run(for: .seconds(60)))
    }

    @Test("a loop that turns without firing its timers is not well")
    func starved() {
        let loop = Loop()
        loop.now = loop.now + .seconds(7)
        #expect(loop.turn(firesTimers: false), "this may be a halt that has just ended")
        loop.now = loop.now + .milliseconds(1)
        #expect(!loop.turn(firesTimers: false))
        loop.now = loop.now + .seconds(1)
        #expect(!loop.turn())
        #expect(loop.turn(), "it has fired")
    }

    @Test("lateness within the limit is nothing", arguments: [Duration.milliseconds(50), .seconds(1), .seconds(5)])
    func slightlyLate(limit: Duration) {
        let loop = Loop(limit: limit)
        for _ in 0..<100 {
            #expect(loop.halt(for: loop.heartbeat.interval + limit))
            #expect(loop.heartbeat.stall(at: loop.now) == nil)
        }
    }

    @Test("a stall is told of while the loop comes out of it and for a minute, with its length")
    func told() throws {
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

    @Test("beats that were missed are not made up for")
    func noBurst() {
        let loop = Loop()
        _ = loop.halt(for: .seconds(100))
        #expect(loop.heartbeat.due == loop.now + .seconds(1))
    }

    @Test("whatever happens, three beats on time and it is well; and it is never ill without three late ones")
    func random() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = SplitMix64(seed: seed)
        for _ in 0..<2_000 {
            let loop = Loop(limit: .milliseconds(Int64.random(in: 10...10_000, using: &random)))
            var late = 0
            for _ in 0..<Int.random(in: 1...30, using: &random) {
                let pause = Duration.milliseconds(Int64.random(in: 0...30_000, using: &random))
                let mayBeIll = late >= Heartbeat.maxLateBeats
                let due = loop.heartbeat.due
                loop.now = loop.now + pause
                let isBeat = loop.now >= due
                let isLate = loop.now - due > loop.heartbeat.limit
                #expect(loop.turn() == !mayBeIll, "seed \(seed)")
                if isBeat { late = isLate ? late + 1 : 0 }
            }
            _ = loop.run(for: .seconds(3), every: min(.milliseconds(100), loop.heartbeat.interval))
            #expect(loop.run(for: .seconds(1), every: .milliseconds(10)), "seed \(seed)")
        }
    }
}
