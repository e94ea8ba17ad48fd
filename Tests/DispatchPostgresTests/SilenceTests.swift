import DispatchLoop
import PostgresSession
import Testing

@testable import DispatchPostgres

/// Silent queries: a dead network path, a dead session, a slow or a stuck database.
@Suite struct SilenceTests {
    /// A pool with this many idle connections, after enough quick queries to put hedges within the budget.
    private func quickPool(_ count: Int, maximum: Int = 10) throws -> MachineHarness {
        var world = MachineHarness {
            $0.minimum = count
            $0.maximum = maximum
        }
        world.startUp()
        while !world.connecting.isEmpty { world.succeed() }
        for _ in 0..<200 { world.release(try world.mustLease()) }
        world.advance(.milliseconds(400))
        return world
    }

    // MARK: A dead path

    @Test("on a dead path an idempotent query is hedged at once, and the database is suspect without other replies")
    func lost() throws {
        var world = MachineHarness()
        world.startUp()
        let lease = try world.mustLease()
        world.advance(.milliseconds(301))
        world.silence(lease, path: .lost)
        #expect(world.hedged == [lease])
        #expect(world.health == .suspect)
        #expect(world.connecting.count == 1)
    }

    @Test("a dead path concerns one session when others have replied meanwhile")
    func lostAlone() throws {
        var world = MachineHarness { $0.minimum = 2 }
        world.startUp()
        world.succeed()
        let silent = try world.mustLease()
        world.advance(.milliseconds(200))
        world.release(try world.mustLease())
        world.advance(.milliseconds(100))
        world.silence(silent, path: .lost)
        #expect(world.health == .up)
    }

    @Test(
        "with all slots taken by idempotent queries on dead paths, the longest silent is closed for a probe")
    func makesRoom() throws {
        var world = MachineHarness { $0.maximum = 2 }
        world.startUp()
        let first = try world.mustLease()
        _ = world.wait()
        world.succeed()
        world.advance(.milliseconds(301))
        world.silence(first, path: .lost)
        #expect(world.health == .suspect)
        #expect(world.closeReasons == [.madeRoom])
        #expect(!world.sockets.contains(first))
        #expect(world.connecting.count == 1)
        #expect(world.breaches() == [])
    }

    @Test("unchecked idle connections are closed for a probe before a query is")
    func idleMakesRoom() throws {
        var world = MachineHarness {
            $0.maximum = 3
            $0.minimum = 3
        }
        world.startUp()
        while !world.connecting.isEmpty { world.succeed() }
        let lease = try world.mustLease()
        world.advance(.milliseconds(301))
        world.silence(lease, path: .lost)
        #expect(world.checking.count == 2)
        world.advance(PoolMachine.headStart)
        #expect(world.closeReasons == [.madeRoom])
        #expect(world.sockets.contains(lease))
        #expect(world.connecting.count == 1)
    }

    @Test("with all slots taken by queries that must not be lost, requests fail as saturated, and the pool is not down")
    func saturated() throws {
        for path in [PostgresConnection.Path.acknowledged, .open, .lost] {
            var world = MachineHarness { $0.maximum = 1 }
            world.startUp()
            let lease = try world.mustLease()
            let waiter = try world.mustWait(within: .seconds(1))
            world.advance(.milliseconds(301))
            world.silence(lease, canBeAbandoned: false, path: path)
            #expect(world.health == .up)
            world.advance(.milliseconds(700))
            #expect(world.failed[waiter]?.kind == .saturated)
        }
    }

    // MARK: A slow database

    @Test("acknowledged silence is a doubt: no connection is closed, nothing is reported, and a late answer ends it")
    func slow() throws {
        var world = try quickPool(4)
        let lease = try world.mustLease()
        let before = world.events.count
        world.advance(.milliseconds(301))
        world.silence(lease)
        #expect(world.health == .up)
        #expect(world.checking.count == 1, "one idle connection is checked")
        _ = try world.mustLease()  // The others continue to serve.
        world.advance(.milliseconds(599))
        #expect(world.health == .up)
        world.release(lease, took: .milliseconds(900))
        #expect(world.hedged.isEmpty, "the reply was as late as the others: the database is slow")
        world.advance(.seconds(5))
        #expect(world.health == .up)
        #expect(world.closeReasons.isEmpty)
        let reports = world.events[before...].filter { if case .connecting = $0 { false } else { true } }
        #expect(reports.isEmpty, "only a connect is reported: \(reports)")
    }

    @Test("after two slow answers such a silence is usual", arguments: [310, 500, 900])
    func learns(milliseconds: Int) throws {
        var world = try quickPool(2)
        for _ in 0..<2 { world.release(try world.mustLease(), took: .milliseconds(milliseconds)) }
        #expect(world.machine.silenceLimit > Int64(milliseconds) * 1_000_000)
    }

    @Test("silence of all sessions for 950 ms makes the pool suspect, and a late answer ends the outage")
    func stuck() throws {
        var world = MachineHarness()
        world.startUp()
        let lease = try world.mustLease()
        world.advance(.milliseconds(300))
        world.silence(lease)
        #expect(world.connecting.count == 1, "a new login distinguishes a stuck server from a slow query")
        world.progress(try #require(world.connecting.first))
        world.advance(.milliseconds(649))
        #expect(world.health == .up)
        world.advance(.milliseconds(1))
        #expect(world.health == .suspect)
        world.advance(.milliseconds(750))
        #expect(world.health == .down, "within 2 s of silence")
        world.release(lease)
        #expect(world.health == .up)
        let next = try world.mustLease()
        #expect(next == lease)
        #expect(world.breaches() == [])
    }

    @Test("a silent query concerns one session when others have replied meanwhile")
    func notShared() throws {
        var world = MachineHarness { $0.minimum = 2 }
        world.startUp()
        world.succeed()
        let silent = try world.mustLease()
        world.advance(.milliseconds(200))
        world.release(try world.mustLease())
        world.advance(.milliseconds(100))
        world.silence(silent)
        #expect(world.health == .up)
        #expect(world.machine.doubt == nil)
        #expect(world.hedged.isEmpty, "the budget allows no further hedge")
    }

    // MARK: Hedges

    @Test(
        "when another session answers as quickly as usual, the silent query is hedged, and idle connections are checked"
    )
    func hedged() throws {
        var world = try quickPool(4)
        let lease = try world.mustLease()
        world.advance(.milliseconds(301))
        world.silence(lease)
        #expect(world.hedged.isEmpty)
        world.succeed()
        #expect(world.hedged == [lease])
        #expect(world.checking.count == 3, "the hedge must not move from one dead connection to the next")
        #expect(world.health == .up)
    }

    @Test(
        "a query is hedged only if the usual answer would come in time; a slow database gets no checks",
        arguments: [(900, 140, false), (900, 1_000, true), (1, 140, true)])
    func inTime(usual: Int, left: Int, isHedged: Bool) throws {
        var world = try quickPool(4)
        for _ in 0..<40 { world.release(try world.mustLease(), took: .milliseconds(usual)) }
        let limit = Duration.nanoseconds(world.machine.silenceLimit)
        world.advance(limit + .milliseconds(1))
        let lease = try world.mustLease()
        world.advance(limit + .milliseconds(1))
        world.silence(lease, answerBy: world.now + .milliseconds(left))
        let other = try world.mustLease()
        world.advance(.milliseconds(10))
        world.release(other, took: .milliseconds(10))
        #expect(world.hedged == (isHedged ? [lease] : []), "\(usual) ms are usual, and \(left) ms are left")
        if usual == 900 { #expect(world.checking.count <= 1, "a check takes as long as a query") }
    }

    @Test("five slow idempotent reads are executed five times")
    func slowReads() throws {
        var world = MachineHarness { $0.maximum = 10 }
        world.startUp()
        var leases: [ConnectionID] = []
        for _ in 0..<5 {
            if let id = world.lease() { leases.append(id) }
            while !world.connecting.isEmpty { world.succeed() }
        }
        leases = world.leased
        world.advance(.milliseconds(300))
        for id in leases { world.silence(id) }
        while !world.connecting.isEmpty { world.succeed() }
        for id in world.checking { world.passCheck(id) }
        #expect(world.hedged.isEmpty)
    }

    @Test("on a database that suddenly takes 500 ms, at most one in twenty queries is hedged")
    func budget() throws {
        var world = try quickPool(10)
        let before = 200
        var queries = before
        for _ in 0..<20 {
            while let id = world.lease() {
                queries += 1
                _ = id
            }
            let leases = world.leased
            world.advance(.milliseconds(300))
            for id in leases where world.machine.silenceLimit <= 300_000_000 { world.silence(id) }
            for id in world.checking { world.passCheck(id, took: .milliseconds(200)) }
            world.advance(.milliseconds(200))
            for id in leases where world.leased.contains(id) { world.release(id, took: .milliseconds(500)) }
        }
        #expect(world.hedged.count * 20 <= queries, "\(world.hedged.count) of \(queries)")
        #expect(world.machine.silenceLimit > 500_000_000)
    }

    @Test("a full pool whose idle connections are silent as well closes one of them for a new one, once")
    func fullAndForgotten() throws {
        var world = try quickPool(4, maximum: 4)
        let lease = try world.mustLease()
        world.advance(.milliseconds(301))
        world.silence(lease)
        world.advance(PoolMachine.roomPatience - .milliseconds(1))
        #expect(world.closeReasons.isEmpty)
        world.advance(.milliseconds(1))
        #expect(world.closeReasons == [.madeRoom])
        #expect(world.connecting.count == 1)
        world.succeed()
        #expect(world.hedged == [lease])
        #expect(world.breaches() == [])
    }

    // MARK: Abandoned statements

    @Test(
        "a statement past its deadline does not make the pool suspect, and keeps its slot until the server has ended it"
    )
    func overdue() throws {
        var world = MachineHarness { $0.maximum = 2 }
        world.startUp()
        let lease = try world.mustLease()
        world.advance(.seconds(1))
        world.overdue(lease)
        #expect(world.health == .up)
        #expect(!world.machine.slowStart.hasFailed)
        #expect(world.resetting == [lease])
        #expect(world.sockets.contains(lease))
        world.passReset(lease)
        let next = try world.mustLease()
        #expect(next == lease, "the session is reusable")
    }

    @Test("with all slots taken by statements past their deadlines, a silent server makes the pool suspect")
    func allOverdue() throws {
        var world = MachineHarness { $0.maximum = 2 }
        world.startUp()
        let first = try world.mustLease()
        _ = world.wait()
        world.succeed()
        let second = try #require(world.leased.last)
        world.advance(.seconds(1))
        for id in [first, second] {
            world.silence(id, canBeAbandoned: false)
            world.overdue(id)
        }
        #expect(world.health == .up)
        world.advance(PoolMachine.doubtPatience)
        #expect(world.health == .suspect)
        #expect(world.closeReasons == [.madeRoom])
        #expect(world.connecting.count == 1)
        #expect(world.breaches() == [])
    }

    @Test("a first statement that waits for a lock does not affect later logins")
    func lockedFirst() throws {
        var world = MachineHarness { $0.maximum = 2 }
        world.startUp()
        let lease = try world.mustLease()
        world.advance(.seconds(1))
        world.overdue(lease)
        #expect(world.machine.loginProvesNothing, "it may be a pooler whose server is down")
        world.passReset(lease)
        #expect(!world.machine.loginProvesNothing, "57014 came from a server")
    }

    // MARK: Connects

    @Test("a connect that no server accepts counts as silence while no session works")
    func hungConnect() {
        var world = MachineHarness {
            $0.minimum = 0
            $0.idleTimeout = .seconds(1)
        }
        world.startUp()
        world.advance(.seconds(2))
        #expect(world.sockets.isEmpty)
        _ = world.wait()
        world.advance(.milliseconds(301))
        #expect(world.health == .suspect)
        #expect(world.breaches() == [])
    }

    @Test("an accepted login of 900 ms is slow, not down, at the start and later")
    func slowLogin() throws {
        for isStart in [true, false] {
            var world = MachineHarness {
                $0.minimum = 0
                $0.idleTimeout = .seconds(1)
            }
            if isStart {
                world.start()
            } else {
                world.startUp()
                world.advance(.seconds(2))
                #expect(world.sockets.isEmpty)
            }
            let waiter = try world.mustWait()
            world.progress(try #require(world.connecting.first))
            world.advance(.milliseconds(900))
            world.succeed(took: .milliseconds(900))
            #expect(world.granted[waiter] != nil, "start: \(isStart)")
            let changes = world.events.filter { if case .healthChanged = $0 { true } else { false } }
            #expect(changes.count == 1, "\(changes)")
        }
    }

    @Test("requests wait beyond the grace period for a login in which the server keeps sending")
    func chattyLogin() throws {
        var world = MachineHarness()
        world.start()
        let waiter = try world.mustWait()
        let login = try #require(world.connecting.first)
        for _ in 0..<4 {
            world.progress(login)
            world.advance(.milliseconds(900))
        }
        #expect(world.health == .suspect)
        world.connecting.removeAll { $0 == login }
        world.apply { $0.connected(login, hasWrongRole: false, took: 3_600_000_000, at: $1) }
        #expect(world.granted[waiter] != nil)
    }
}
