import DispatchLoop
import PostgresSession
import Testing

@testable import DispatchPostgres

/// The machine's decisions, case by case, without sockets, clock or sleep.
@Suite struct CheckOutTests {
    @Test("an idle connection is leased at once")
    func leased() throws {
        var world = MachineHarness()
        world.startUp()
        _ = try world.mustLease()
        #expect(world.breaches() == [])
    }

    @Test("the connection released last is leased first")
    func warmest() throws {
        var world = MachineHarness { $0.minimum = 2 }
        world.startUp()
        world.succeed()
        let first = try world.mustLease()
        let second = try world.mustLease()
        world.release(second)
        world.release(first)
        let next = try world.mustLease()
        #expect(next == first)
    }

    @Test("without an idle connection a request waits, and a connect begins for it")
    func grows() throws {
        var world = MachineHarness()
        world.startUp()
        _ = world.lease()
        let waiter = try world.mustWait()
        #expect(world.connecting.count == 1)
        world.succeed()
        #expect(world.granted[waiter] != nil)
    }

    @Test("at the maximum, requests wait for releases, in FIFO order")
    func fifo() throws {
        var world = MachineHarness { $0.maximum = 1 }
        world.startUp()
        let lease = try world.mustLease()
        var waiters: [WaiterID] = []
        for _ in 0..<3 { waiters.append(try world.mustWait()) }
        #expect(world.connecting.isEmpty)
        world.release(lease)
        #expect(world.granted[waiters[0]] == lease)
        world.release(lease)
        #expect(world.granted[waiters[1]] == lease)
        #expect(world.waiting == [waiters[2]])
    }

    @Test("a withdrawn request does not change the order of the others")
    func givesUp() throws {
        var world = MachineHarness { $0.maximum = 1 }
        world.startUp()
        let lease = try world.mustLease()
        let first = try world.mustWait()
        let second = try world.mustWait()
        let wasWaiting = world.giveUp(first)
        #expect(wasWaiting)
        world.release(lease)
        #expect(world.granted[second] == lease)
        #expect(world.granted[first] == nil)
    }

    @Test("requests fail as saturated at their deadlines, each at its own time")
    func deadlines() throws {
        var world = MachineHarness { $0.maximum = 1 }
        world.startUp()
        let lease = try world.mustLease()
        let patient = try world.mustWait(within: .seconds(2))
        let hasty = try world.mustWait(within: .seconds(1))
        let endless = try world.mustWait()
        world.advance(.milliseconds(999))
        #expect(world.failed.isEmpty)
        world.advance(.milliseconds(1))
        #expect(world.failed[hasty]?.kind == .saturated)
        #expect(world.waiting == [patient, endless])
        world.advance(.seconds(1))
        #expect(world.failed[patient]?.kind == .saturated)
        world.advance(.seconds(1_000))
        world.release(lease)
        #expect(world.granted[endless] == lease)
    }

    @Test("a request whose deadline passes during an outage fails with the outage")
    func deadlineDuringOutage() throws {
        var world = MachineHarness { $0.outageGrace = .seconds(5) }
        world.start()
        let waiter = try world.mustWait(within: .seconds(1))
        world.advance(.seconds(1))
        #expect(world.failed[waiter]?.kind == .unavailable)
    }

    @Test("requests beyond the maximum of waiters fail at once as saturated")
    func boundedQueue() {
        var world = MachineHarness {
            $0.maximum = 1
            $0.maximumWaiters = 2
        }
        world.startUp()
        _ = world.lease()
        _ = world.wait()
        _ = world.wait()
        guard case .fail(let error) = world.checkOut() else {
            Issue.record("expected a refusal")
            return
        }
        #expect(error.kind == .saturated)
    }

    @Test("a connection granted to a waiter that leaves goes to the next waiter")
    func grantAndCancel() throws {
        var world = MachineHarness { $0.maximum = 1 }
        world.startUp()
        let lease = try world.mustLease()
        let first = try world.mustWait()
        let second = try world.mustWait()
        world.release(lease)
        let wasWaiting = world.giveUp(first)
        #expect(!wasWaiting, "it is granted already")
        world.release(lease)
        #expect(world.granted[second] == lease)
    }

    @Test("an open transaction is ended before the connection is idle again")
    func reset() throws {
        var world = MachineHarness { $0.maximum = 1 }
        world.startUp()
        let lease = try world.mustLease()
        let waiter = try world.mustWait()
        world.release(lease, needsReset: true)
        #expect(world.resetting == [lease])
        #expect(world.granted[waiter] == nil)
        world.passReset(lease)
        #expect(world.granted[waiter] == lease)
    }

    @Test("surplus idle connections are closed on release, unless a request waits")
    func surplus() throws {
        var world = MachineHarness { $0.maximumIdle = 1 }
        world.startUp()
        let first = try world.mustLease()
        _ = world.wait()
        world.succeed()
        let second = try #require(world.leased.last)
        world.release(first)
        world.release(second)
        #expect(world.closeReasons == [.surplusIdle])
        #expect(world.sockets.count == 1)
    }
}

@Suite struct GrowthTests {
    @Test("after the start connections follow one, two and four at a time, only as needed")
    func slowStart() {
        var world = MachineHarness { $0.maximum = 20 }
        world.start()
        for _ in 0..<16 { _ = world.wait() }
        var batches: [Int] = []
        while !world.connecting.isEmpty {
            batches.append(world.connecting.count)
            for _ in 0..<world.connecting.count { world.succeed() }
            #expect(world.breaches() == [])
        }
        #expect(batches.prefix(3) == [1, 2, 4])
        #expect(batches.reduce(0, +) == 16)
    }

    @Test("the number of connects does not exceed the number of waiting requests")
    func asNeeded() {
        var world = MachineHarness { $0.maximum = 20 }
        world.startUp()
        _ = world.lease()
        _ = world.wait()
        #expect(world.connecting.count == 1)
        _ = world.wait()
        #expect(world.connecting.count == 2)
    }

    @Test("the minimum is kept, and restored when a connection ends")
    func minimum() throws {
        var world = MachineHarness { $0.minimum = 3 }
        world.startUp()
        while !world.connecting.isEmpty { world.succeed() }
        #expect(world.sockets.count == 3)
        let id = world.machine.slots.id(at: try #require(world.machine.slots.idle.first))
        world.end(id, .idleSession)
        #expect(world.connecting.isEmpty, "lost before its first reply: counts as a failed connect")
        world.advance(.milliseconds(11))
        #expect(world.connecting.count == 1)
        #expect(world.health == .up)
    }

    @Test("\"too many clients\" is no outage while a connection works: it is reported once, and growth resumes later")
    func tooManyClients() throws {
        var world = MachineHarness()
        world.startUp()
        let lease = try world.mustLease()
        let waiter = try world.mustWait()
        world.fail(.tooMany)
        #expect(world.health == .up)
        #expect(world.connecting.isEmpty)
        world.advance(Prober.demandSpacing)
        #expect(world.connecting.count == 1)
        world.fail(.tooMany)
        #expect(world.events.filter { if case .growthFailed = $0 { true } else { false } }.count == 1)
        world.release(lease)
        #expect(world.granted[waiter] == lease)
    }

    @Test("\"too many clients\" is an outage when no connection works")
    func tooManyWithoutAny() {
        var world = MachineHarness()
        world.start()
        world.fail(.tooMany)
        #expect(world.health == .suspect)
        world.advance(.seconds(1))
        #expect(world.health == .down)
    }
}

@Suite struct MaintenanceTests {
    @Test("connections above the minimum are closed after the idle timeout")
    func idleTimeout() throws {
        var world = MachineHarness {
            $0.minimum = 1
            $0.idleTimeout = .seconds(10)
        }
        world.startUp()
        let lease = try world.mustLease()
        for _ in 0..<3 { _ = world.wait() }
        while !world.connecting.isEmpty { world.succeed() }
        for id in [lease] + world.granted.values { world.release(id) }
        #expect(world.sockets.count == 4)
        world.advance(.seconds(11))
        #expect(world.sockets.count == 1)
        #expect(world.closeReasons == [.idleTimeout, .idleTimeout, .idleTimeout])
        world.advance(.seconds(100))
        #expect(world.sockets.count == 1)
    }

    @Test("a connect that hangs does not count: the idle timeout leaves the minimum of open connections")
    func idleTimeoutBesideConnect() throws {
        var world = MachineHarness {
            $0.minimum = 1
            $0.idleTimeout = .seconds(10)
        }
        world.startUp()
        let only = try world.mustLease()
        let waiter = try world.mustWait()
        #expect(world.connecting.count == 1)
        let wasWaiting = world.giveUp(waiter)
        #expect(wasWaiting)
        world.release(only)
        world.advance(.seconds(11))
        #expect(world.closeReasons.isEmpty, "closed the only open connection: \(world.closeReasons)")
        let again = try world.mustLease()
        #expect(again == only)
    }

    @Test("lifetimes vary by at most a tenth and end at least a second apart", arguments: 0..<20)
    func jitter(seed: Int) {
        var world = MachineHarness(seed: UInt64(seed)) {
            $0.maximum = 30
            $0.minimum = 30
            $0.maximumLifetime = .seconds(600)
        }
        world.startUp()
        while !world.connecting.isEmpty { world.succeed() }
        let ends = world.machine.slots.slots.map(\.expiresAt).sorted()
        #expect(ends.count == 30)
        for (earlier, later) in zip(ends, ends.dropFirst()) {
            #expect(later - earlier >= .seconds(1), "seed \(seed)")
        }
        for end in ends { #expect(abs((end - world.now).nanoseconds - 600_000_000_000) <= 91_000_000_000) }
    }

    @Test("the keepalive checks an idle connection, and closes it when it does not answer")
    func keepalive() throws {
        var world = MachineHarness { $0.keepalive = .seconds(30) }
        world.startUp()
        world.advance(.seconds(29))
        #expect(world.checking.isEmpty)
        world.advance(.seconds(2))
        let id = try #require(world.checking.first)
        world.passCheck(id)
        let next = try world.mustLease()
        #expect(next == id)
        world.release(id)
        world.advance(.seconds(31))
        world.end(try #require(world.checking.first), .noAnswer)
        #expect(world.health == .suspect, "silence without another reply")
        #expect(world.connecting.count == 1)
    }
}

@Suite struct DrainTests {
    @Test("draining closes idle connections at once and leased ones on release")
    func drain() throws {
        var world = MachineHarness { $0.minimum = 2 }
        world.startUp()
        world.succeed()
        let lease = try world.mustLease()
        world.apply { $0.drain(at: $1, deadline: $1 + .seconds(5)) }
        #expect(world.health == .draining)
        #expect(world.sockets == [lease])
        world.release(lease)
        #expect(world.health == .closed)
        #expect(world.closeReasons == [.drained, .drained])
    }

    @Test("draining fails waiters and refuses new requests")
    func refuses() throws {
        var world = MachineHarness { $0.maximum = 1 }
        world.startUp()
        _ = world.lease()
        let waiter = try world.mustWait()
        world.apply { $0.drain(at: $1, deadline: $1 + .seconds(5)) }
        #expect(world.failed[waiter]?.kind == .closed)
        guard case .fail(let error) = world.checkOut() else {
            Issue.record("expected a refusal")
            return
        }
        #expect(error.kind == .closed)
    }

    @Test("draining closes leased connections at the deadline")
    func deadline() {
        var world = MachineHarness()
        world.startUp()
        _ = world.lease()
        world.apply { $0.drain(at: $1, deadline: $1 + .seconds(5)) }
        world.advance(.milliseconds(4_999))
        #expect(world.health == .draining)
        world.advance(.milliseconds(1))
        #expect(world.health == .closed)
        #expect(world.closeReasons == [.drainDeadline])
    }

    @Test("draining in an outage ends the search")
    func outage() {
        var world = MachineHarness()
        world.start()
        world.fail()
        world.apply { $0.drain(at: $1, deadline: $1 + .seconds(5)) }
        #expect(world.health == .closed)
        world.advance(.seconds(10))
        #expect(world.connecting.isEmpty)
    }
}
