import DispatchLoop
import PostgresSession
import Testing

@testable import DispatchPostgres

/// Probing while the database refuses connects.
@Suite struct RefusedProbingTests {
    private func downByRefusal() -> MachineHarness {
        var world = MachineHarness()
        world.start()
        for _ in 0..<200 where world.health != .down {
            while !world.connecting.isEmpty { world.fail(.refused) }
            world.advance(.milliseconds(10))
        }
        while !world.connecting.isEmpty { world.fail(.refused) }
        return world
    }

    @Test("down, the next probe always follows the last by less than 300 ms")
    func neverGivesUp() {
        var world = downByRefusal()
        var last = world.now
        for _ in 0..<500 {
            while world.connecting.isEmpty, world.now - last < .seconds(1) { world.advance(.milliseconds(1)) }
            #expect(world.now - last <= .milliseconds(300))
            last = world.now
            world.fail(.refused)
        }
    }

    /// A pool that is down by refusal. Its latest probe is old enough for a request to bring the next one forward.
    private func readyForDemand() throws -> MachineHarness {
        var world = downByRefusal()
        for _ in 0..<2_000 {
            if world.now - (try #require(world.connectTimes.last)) > Prober.demandSpacing { return world }
            world.advance(.milliseconds(1))
            while !world.connecting.isEmpty { world.fail(.refused) }
        }
        throw NeverReady()
    }

    private struct NeverReady: Error {}

    @Test("down by refusal, a request brings the probe forward and is served when it succeeds")
    func demand() throws {
        var world = try readyForDemand()
        let waiter = try world.mustWait()
        #expect(world.connecting.count == 1)
        world.succeed()
        #expect(world.granted[waiter] != nil)
    }

    @Test("down by refusal, a request whose probe fails fails at once")
    func demandRefused() throws {
        var world = try readyForDemand()
        let waiter = try world.mustWait()
        world.fail(.refused)
        #expect(world.failed[waiter]?.kind == .unavailable)
    }

    @Test("down by refusal, a request waits 25 ms for a hanging probe")
    func demandHangs() throws {
        var world = try readyForDemand()
        let waiter = try world.mustWait()
        world.advance(.milliseconds(24))
        #expect(world.failed[waiter] == nil)
        world.advance(.milliseconds(1))
        #expect(world.failed[waiter] != nil)
    }

    @Test("a change of cause is one event, not one per attempt")
    func causes() {
        var world = downByRefusal()
        world.events.removeAll()
        for _ in 0..<10 {
            world.advance(.milliseconds(300))
            while !world.connecting.isEmpty { world.fail(.starting) }
        }
        let changes = world.events.compactMap { if case .causeChanged(let error, _) = $0 { error } else { nil } }
        #expect(changes == [.starting])
    }

    @Test("a wrong password after an outage, and an outage after a wrong password, have their own states")
    func names() {
        var world = downByRefusal()
        world.advance(.milliseconds(300))
        world.fail(.badPassword)
        #expect(world.health == .misconfigured)
        world.advance(.seconds(1))
        world.fail(.refused)
        #expect(world.health == .down)
        world.advance(.milliseconds(300))
        world.succeed()
        #expect(world.health == .up)
    }
}
