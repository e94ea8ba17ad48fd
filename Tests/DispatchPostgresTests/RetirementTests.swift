import DispatchLoop
import PostgresSession
import Testing

@testable import DispatchPostgres

/// Connections at the end of their lifetime. The pool opens the successor first.
@Suite struct RetirementTests {
    private func pool(_ change: (inout PoolSettings) -> Void = { _ in }) -> MachineHarness {
        var world = MachineHarness {
            $0.maximumLifetime = .seconds(100)
            $0.idleTimeout = nil
            change(&$0)
        }
        world.startUp()
        while !world.connecting.isEmpty { world.succeed() }
        return world
    }

    @Test("an idle connection at the end of its lifetime is closed when its successor has answered")
    func successorFirst() throws {
        var world = pool()
        let old = try #require(world.sockets.first)
        world.advance(.seconds(111))
        #expect(world.sockets.contains(old))
        #expect(world.connecting.count == 1)
        world.succeed()
        #expect(world.closeReasons == [.lifetime])
        #expect(!world.sockets.contains(old))
        #expect(world.sockets.count == 1)
        world.advance(.seconds(50))
        #expect(world.connecting.isEmpty, "one successor is enough")
        #expect(world.breaches() == [])
    }

    @Test("a leased connection is closed on release, if its successor has answered by then")
    func leased() throws {
        var world = pool()
        let lease = try world.mustLease()
        world.advance(.seconds(111))
        world.release(lease)
        #expect(world.sockets.contains(lease), "there is no successor yet")
        #expect(world.connecting.count == 1)
        let again = try world.mustLease()
        #expect(again == lease)
        world.succeed()
        world.release(lease)
        #expect(world.closeReasons == [.lifetime])
        #expect(world.breaches() == [])
    }

    @Test(
        "while new logins are refused the old sessions serve; that is reported once, and ends with the first success",
        arguments: [1, 3])
    func refused(minimum: Int) throws {
        var world = pool { $0.minimum = minimum }
        let old = world.sockets
        world.events.removeAll()
        let start = world.now
        while world.now - start < .seconds(300) {
            while !world.connecting.isEmpty { world.fail(.badPassword) }
            world.release(try world.mustLease())
            world.advance(.seconds(1))
        }
        while !world.connecting.isEmpty { world.fail(.badPassword) }
        #expect(world.sockets == old)
        #expect(world.health == .up)
        #expect(world.machine.overdueCount(at: world.now) == minimum)
        let said = world.events.filter { if case .retirementPostponed = $0 { true } else { false } }
        #expect(said == [.retirementPostponed(.badPassword)])
        for _ in 0..<20 {
            while !world.connecting.isEmpty { world.succeed() }
            world.release(try world.mustLease())
            world.advance(.seconds(1))
        }
        #expect(world.sockets.isDisjoint(with: old))
        #expect(world.sockets.count == minimum)
        #expect(world.breaches() == [])
    }

    @Test("with all slots taken, one connection is closed for its successor; if that is refused, no further one")
    func full() throws {
        var world = pool {
            $0.minimum = 4
            $0.maximum = 4
        }
        let start = world.now
        while world.now - start < .seconds(300) {
            while !world.connecting.isEmpty { world.fail(.badPassword) }
            world.release(try world.mustLease())
            world.advance(.milliseconds(500))
        }
        #expect(world.sockets.count == 3)
        #expect(world.closeReasons == [.lifetime])
        let old = world.sockets
        for _ in 0..<40 {
            while !world.connecting.isEmpty { world.succeed() }
            world.release(try world.mustLease())
            world.advance(.milliseconds(500))
        }
        #expect(world.sockets.isDisjoint(with: old))
        #expect(world.sockets.count == 4)
        #expect(world.breaches() == [])
    }

    @Test("a pool of one replaces its connection in its own slot")
    func lone() throws {
        var world = pool { $0.maximum = 1 }
        let end = world.now + .seconds(111)
        while world.closeReasons.isEmpty, world.now < end { world.advance(.milliseconds(10)) }
        #expect(world.closeReasons == [.lifetime])
        #expect(world.connecting.count == 1)
    }

    @Test("the successor of a connection that ended by itself replaces no other one")
    func credit() throws {
        var world = pool()
        let lease = try world.mustLease()
        world.advance(.seconds(111))
        world.release(lease)
        _ = world.lease()
        world.succeed()
        world.end(lease, .idleSession)
        #expect(world.machine.retirement.credit == 0)
    }

    @Test("during an outage no connection is closed for its age")
    func outage() throws {
        var world = pool { $0.minimum = 2 }
        let lease = try world.mustLease()
        world.end(try world.mustLease())
        while !world.connecting.isEmpty { world.fail() }
        let start = world.now
        while world.now - start < .seconds(120) {
            while !world.connecting.isEmpty { world.fail() }
            world.advance(.milliseconds(50))
        }
        #expect(world.health == .down)
        world.release(lease)
        #expect(world.health == .up)
        #expect(world.sockets.contains(lease))
    }

    @Test("while new logins fail, no connection is closed by the idle timeout")
    func idle() throws {
        var world = pool {
            $0.minimum = 1
            $0.idleTimeout = .seconds(10)
            $0.maximumLifetime = nil
        }
        _ = world.lease()
        _ = world.wait()
        world.succeed()
        _ = world.wait()
        world.fail(.badPassword)
        for id in world.leased { world.release(id, replied: false) }
        for id in world.leased { world.release(id, replied: false) }
        #expect(world.machine.slowStart.hasFailed)
        world.advance(.seconds(60))
        #expect(world.sockets.count == 2)
    }
}
