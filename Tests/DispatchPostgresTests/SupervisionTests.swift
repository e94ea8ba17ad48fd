import DispatchLoop
import PostgresSession
import Testing

@testable import DispatchPostgres

@Suite struct SuspicionTests {
    @Test(
        "the end of a single session is no outage", arguments: [PostgresError.idleSession, .terminated])
    func lone(error: PostgresError) throws {
        var world = MachineHarness { $0.minimum = 2 }
        world.startUp()
        world.succeed()
        world.end(try world.mustLease(), error)
        #expect(world.health == .up)
        _ = try world.mustLease()  // The other one continues to serve.
    }

    @Test("two sessions terminated within a second make the database suspect, a second apart they do not")
    func terminatedTwice() throws {
        var world = MachineHarness { $0.minimum = 3 }
        world.startUp()
        while !world.connecting.isEmpty { world.succeed() }
        world.end(try world.mustLease(), .terminated)
        world.advance(.milliseconds(1_001))
        world.end(try world.mustLease(), .terminated)
        #expect(world.health == .up)
        world.end(try world.mustLease(), .terminated)
        #expect(world.health == .suspect)
    }

    @Test("an end without a message makes it suspect: idle connections are checked, and those that answer serve")
    func survivors() throws {
        var world = MachineHarness { $0.minimum = 3 }
        world.startUp()
        while !world.connecting.isEmpty { world.succeed() }
        world.end(try world.mustLease())
        #expect(world.health == .suspect)
        #expect(world.checking.count == 2)
        let waiter = try world.mustWait()
        let survivor = try #require(world.checking.first)
        world.passCheck(survivor)
        #expect(world.health == .up)
        #expect(world.granted[waiter] == survivor)
        #expect(world.breaches() == [])
    }

    @Test(
        "after a session was admitted and closed at once, as by a pooler without its server, a connect needs a reply")
    func pooler() throws {
        var world = MachineHarness()
        world.startUp()
        let answered = try world.mustLease()
        world.release(answered)
        world.end(try world.mustLease())
        #expect(!world.machine.loginProvesNothing)
        world.succeed()
        world.end(try world.mustLease())
        #expect(world.machine.loginProvesNothing)
    }

    @Test("a probe begins at once without idle connections to check, and otherwise after their head start")
    func headStart() throws {
        var world = MachineHarness { $0.minimum = 1 }
        world.startUp()
        world.end(try world.mustLease())
        #expect(world.connecting.count == 1)

        var other = MachineHarness { $0.minimum = 2 }
        other.startUp()
        other.succeed()
        other.advance(Prober.demandSpacing)
        other.end(try other.mustLease())
        #expect(other.connecting.isEmpty)
        other.advance(PoolMachine.headStart)
        #expect(other.connecting.count == 1)
    }

    @Test("requests wait through a short outage and are served when it ends")
    func shortOutage() throws {
        var world = MachineHarness()
        world.startUp()
        world.end(try world.mustLease())
        let waiter = try world.mustWait()
        while world.connectTimes.last.map({ world.now - $0 < .milliseconds(130) }) ?? false,
            world.now.nanoseconds < 1_130_000_000
        {
            if !world.connecting.isEmpty { world.fail() }
            world.advance(.milliseconds(5))
        }
        #expect(world.health == .suspect)
        if world.connecting.isEmpty { world.advance(.milliseconds(270)) }
        world.succeed()
        #expect(world.granted[waiter] != nil)
        #expect(world.health == .up)
    }

    @Test("after the grace period requests fail with the cause, the duration and the next attempt")
    func graceEnds() throws {
        var world = MachineHarness()
        world.startUp()
        world.end(try world.mustLease())
        let waiter = try world.mustWait()
        world.fail(.refused)
        world.advance(.milliseconds(749))
        while !world.connecting.isEmpty { world.fail(.refused) }
        #expect(world.failed[waiter] == nil)
        world.advance(.milliseconds(1))
        let error = try #require(world.failed[waiter])
        #expect(world.health == .down)
        #expect(error.kind == .unavailable)
        #expect(error.code == PostgresError.Code.refused)
        #expect(error.outageDuration == .milliseconds(750))
        #expect(error.nextAttempt != nil)
    }

    @Test("a wrong password makes it misconfigured at once, before the end of the grace period")
    func misconfigured() throws {
        var world = MachineHarness()
        world.start()
        let waiter = try world.mustWait()
        world.fail(.badPassword)
        #expect(world.health == .misconfigured)
        #expect(world.failed[waiter]?.code == "28P01")
    }

    @Test("a wrong password during growth is no outage while a connection works")
    func misconfiguredGrowth() throws {
        var world = MachineHarness()
        world.startUp()
        let lease = try world.mustLease()
        _ = world.wait()
        world.fail(.badPassword)
        #expect(world.health == .up)
        world.release(lease)
        #expect(world.breaches() == [])
    }

    @Test(
        "a server in the wrong role is not used for read-write; its connections are retired, requests wait for the grace"
    )
    func readOnly() throws {
        var world = MachineHarness(target: .readWrite) { $0.minimum = 2 }
        world.startUp()
        world.succeed()
        world.apply { $0.classify(.readOnly, at: $1) }
        #expect(world.closeReasons == [.retired, .retired])
        #expect(world.health == .suspect)
        let waiter = try world.mustWait()
        let end = world.now + .milliseconds(749)
        while world.now < end {
            while !world.connecting.isEmpty { world.succeed(hasWrongRole: true) }
            #expect(world.health == .suspect)
            world.advance(min(.milliseconds(10), end - world.now))
        }
        while !world.connecting.isEmpty { world.succeed(hasWrongRole: true) }
        #expect(world.failed[waiter] == nil)
        world.advance(.milliseconds(1))
        #expect(world.health == .readOnly)
        #expect(world.failed[waiter]?.code == PostgresError.Code.wrongRole)
        #expect(world.failed[waiter]?.outageDuration == .milliseconds(750))
        while !world.connecting.isEmpty { world.succeed(hasWrongRole: true) }
        guard case .fail(let error) = world.checkOut() else {
            Issue.record("after the grace requests fail at once")
            return
        }
        #expect(error.health == .readOnly)
        while world.connecting.isEmpty { world.advance(.milliseconds(10)) }
        #expect(world.sockets.count == 1, "nothing but the probe")
        world.succeed(hasWrongRole: false)
        #expect(world.health == .up)
    }

    @Test("a switchover within the grace is not seen, although a standby answers meanwhile")
    func switchover() throws {
        var world = MachineHarness(target: .readWrite) { $0.outageGrace = .seconds(4) }
        world.startUp()
        world.end(try world.mustLease(), .terminated)
        world.events.removeAll()
        let end = world.now + .milliseconds(1_900)
        var waiters: [WaiterID] = []
        while world.now < end {
            waiters.append(try world.mustWait(within: .seconds(6)))
            while !world.connecting.isEmpty { world.fail(.wrongRole, sockets: 3) }
            world.advance(.milliseconds(20))
        }
        #expect(world.failed.isEmpty)
        #expect(world.connectTimes.count <= 16, "at most twenty sockets a second, three for each connect")
        while world.connecting.isEmpty { world.advance(.milliseconds(10)) }
        world.succeed()
        #expect(world.health == .up)
        while let waiter = waiters.first(where: { world.granted[$0] == nil }) {
            for id in world.leased { world.release(id) }
            while !world.connecting.isEmpty { world.succeed() }
            #expect(world.failed[waiter] == nil)
        }
        let states = world.events.compactMap { if case .healthChanged(_, let to, _, _) = $0 { to } else { nil } }
        #expect(states == [.suspect, .up], "no outage is reported")
        #expect(world.breaches() == [])
    }

    @Test(
        "a frozen host that accepts again and again extends the grace once, and not at all beside one of the wrong role"
    )
    func frozenHost() throws {
        for hasStandby in [false, true] {
            var world = MachineHarness(target: .readWrite)
            world.startUp()
            world.end(try world.mustLease())
            let begin = world.now
            while world.health == .suspect, world.now - begin < .seconds(10) {
                _ = world.checkOut(within: .seconds(20))
                let oldest = world.connecting.first.flatMap { world.machine.slots.slot($0)?.since }
                if let oldest, world.now - oldest >= .milliseconds(300) {
                    world.fail(hasStandby ? .wrongRole : .connectTimeout)
                }
                for id in world.connecting where world.machine.slots.slot(id)?.acceptedAt == nil {
                    world.progress(id)
                    if hasStandby { world.progress(id) }
                }
                world.advance(.milliseconds(10))
            }
            #expect(world.now - begin < .milliseconds(hasStandby ? 800 : 1_800), "after \(world.now - begin)")
            #expect(world.health == (hasStandby ? .readOnly : .down))
            #expect(world.breaches() == [])
        }
    }

    @Test("where the leader is gone and a standby answers, the latest connect names the state once the grace is over")
    func latestCause() throws {
        var world = MachineHarness(target: .readWrite)
        world.startUp()
        world.end(try world.mustLease())
        world.fail(.refused)
        while world.health == .suspect {
            while !world.connecting.isEmpty { world.fail(.wrongRole) }
            world.advance(.milliseconds(10))
        }
        #expect(world.health == .readOnly)
        while world.connecting.isEmpty { world.advance(.milliseconds(10)) }
        world.fail(.refused)
        #expect(world.health == .down)
        while world.connecting.isEmpty { world.advance(.milliseconds(10)) }
        world.fail(.wrongRole)
        #expect(world.health == .readOnly, "established outages have no second grace")
    }

    @Test("a retired connection's reply does not end the outage")
    func retiredProof() throws {
        var world = MachineHarness(target: .readWrite)
        world.startUp()
        let lease = try world.mustLease()
        world.apply { $0.classify(.readOnly, at: $1) }
        world.release(lease)
        #expect(world.health == .suspect)
        #expect(world.closeReasons.contains(.retired))
    }
}

@Suite struct StandbyTests {
    @Test("the pool checks an idle standby every second, on one connection; not a primary")
    func asked() throws {
        for role in [ServerRole.replica, .primary, nil] {
            var harness = MachineHarness { $0.minimum = 3 }
            harness.machine.role = role
            harness.startUp()
            while !harness.connecting.isEmpty { harness.succeed() }
            #expect(harness.machine.slots.idle.count == 3)
            for _ in 1...5 {
                harness.advance(.milliseconds(1_100))
                #expect(harness.checking.count == (role == .replica ? 1 : 0))
                for id in harness.checking { harness.passCheck(id) }
            }
        }
    }

    @Test("a standby that answers queries is not checked")
    func busy() throws {
        var harness = MachineHarness()
        harness.machine.role = .replica
        harness.startUp()
        for _ in 1...50 {
            harness.advance(.milliseconds(100))
            harness.release(try harness.mustLease())
            #expect(harness.checking.isEmpty)
        }
    }
}
