import DispatchLoop
import PostgresSession
import Testing

@testable import DispatchPostgres

/// A step before the connect, such as asking for a password, for the machine.
@Suite struct StepBeforeConnectTests {
    @Test("a probe that asks for a password keeps the only slot, and then the time of a new probe")
    func keepsSlot() throws {
        var world = MachineHarness {
            $0.maximum = 1
            $0.outageGrace = .seconds(5)
        }
        world.start()
        let id = try #require(world.connecting.first)
        world.apply { $0.progressed(id, isAnswer: false, at: $1) }
        world.advance(.seconds(3))
        #expect(world.connecting == [id])
        #expect(world.health == .suspect)
        world.apply { $0.beginsConnecting(id, at: $1) }
        world.advance(Prober.soloTimeout - .milliseconds(1))
        #expect(world.connecting == [id], "the server has its time from now on")
        world.advance(.milliseconds(300))
        #expect(world.connecting != [id], "and no more")
    }

    @Test("a connect that has ended meanwhile begins nothing")
    func ended() throws {
        var world = MachineHarness { $0.maximum = 1 }
        world.start()
        let id = try #require(world.connecting.first)
        world.fail()
        let next = world.machine.nextDeadline()
        world.apply { $0.beginsConnecting(id, at: $1) }
        #expect(world.machine.nextDeadline() == next)
    }
}
