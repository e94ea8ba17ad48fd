import DispatchLoop
import PostgresSession
import PostgresTestKit
import Testing

@testable import DispatchPostgres

/// Sessions whose server loses the wanted role while they live.
@Suite struct LostRoleTests {
    private func pool(_ target: SessionTarget, minimum: Int = 3) -> MachineHarness {
        var world = MachineHarness(target: target) {
            $0.minimum = minimum
            $0.maximum = 5
        }
        world.startUp()
        while !world.connecting.isEmpty { world.succeed() }
        return world
    }

    /// A query whose reply reports the lost role.
    private func useMisplaced(_ world: inout MachineHarness) throws {
        let lease = try world.mustLease()
        world.apply { $0.lostRole(lease, at: $1) }
        world.release(lease)
    }

    private let strict: [SessionTarget] = [.readWrite, .readOnly, .primary, .standby]

    @Test("each session of a promoted server is replaced, successor first, also the idle ones, which are asked")
    func replaced() throws {
        for target in SessionTarget.allCases where target != .any {
            var world = pool(target)
            let old = world.sockets
            try useMisplaced(&world)
            #expect(world.checking.count == 2, "the others may lead to the same server")
            for id in world.checking {
                world.apply { $0.lostRole(id, at: $1) }
                world.passCheck(id)
            }
            #expect(world.sockets.isSuperset(of: old), "all serve until a successor has answered")
            let begin = world.now
            while !world.connecting.isEmpty {
                #expect(world.connecting.count == 1, "one after the other")
                world.advance(.milliseconds(5))
                world.succeed()
                #expect(world.sockets.count >= 3)
                #expect(world.breaches() == [])
            }
            #expect(world.now - begin < .milliseconds(100))
            #expect(world.sockets.isDisjoint(with: old), "\(target)")
            #expect(world.closeReasons == [.wrongRole, .wrongRole, .wrongRole])
            #expect(world.health == .up)
        }
    }

    @Test("where no server has the role any more, all sessions are retired; after the grace requests fail at once")
    func nowhere() throws {
        for target in strict {
            var world = pool(target, minimum: 1)
            try useMisplaced(&world)
            world.fail(target.wrongRole)
            #expect(world.health == .suspect, "\(target)")
            #expect(world.closeReasons == [.retired])
            let waiter = try world.mustWait()
            let end = world.now + .milliseconds(750)
            while world.now < end {
                while !world.connecting.isEmpty { world.fail(target.wrongRole) }
                world.advance(.milliseconds(10))
            }
            #expect(world.failed[waiter]?.code == PostgresError.Code.wrongRole)
            #expect(world.failed[waiter]?.message.contains("asks for \(target.rawValue)") == true)
            #expect(world.breaches() == [])
        }
    }

    @Test("a session that has kept the role serves on where no further server has it")
    func oneLeft() throws {
        var world = pool(.standby, minimum: 2)
        let good = try world.mustLease()
        try useMisplaced(&world)
        world.fail(SessionTarget.standby.wrongRole)
        #expect(world.health == .up)
        #expect(world.sockets.contains(good))
        world.release(good)
        #expect(world.breaches() == [])
    }

    @Test("while the successor fails otherwise, the sessions serve on; that is reported once, and tried again")
    func postponed() throws {
        var world = pool(.standby, minimum: 1)
        try useMisplaced(&world)
        world.events.removeAll()
        let end = world.now + .seconds(10)
        while world.now < end {
            while !world.connecting.isEmpty { world.fail(.connectTimeout) }
            world.release(try world.mustLease())
            world.advance(.milliseconds(100))
        }
        #expect(world.health == .up)
        let said = world.events.filter { if case .retirementPostponed = $0 { true } else { false } }
        #expect(said == [.retirementPostponed(.connectTimeout)])
        #expect(world.connectTimes.count > 5)
        while world.connecting.isEmpty { world.advance(.milliseconds(100)) }
        world.succeed()
        #expect(world.closeReasons == [.wrongRole])
    }

    @Test("prefer-standby keeps a primary that it began with, and replaces a promoted standby once")
    func preferred() throws {
        var world = MachineHarness(target: .preferStandby)
        world.start()
        world.succeed(hasWrongRole: true)
        world.advance(Prober.demandSpacing)
        for _ in 1...3 { try useMisplaced(&world) }
        #expect(world.connecting.isEmpty, "there was no standby when it began")
        #expect(world.closeReasons == [])

        world = pool(.preferStandby, minimum: 1)
        try useMisplaced(&world)
        world.succeed(hasWrongRole: true)
        #expect(world.closeReasons == [.wrongRole])
        for _ in 1...3 { try useMisplaced(&world) }
        #expect(world.connecting.isEmpty, "its successor found no standby either")
        #expect(world.health == .up)
    }

    @Test("each idle session is asked every second where a promotion would make its server the wrong one")
    func asked() {
        for target in SessionTarget.allCases {
            var world = pool(target)
            world.advance(.milliseconds(1_100))
            let isAsked = [.readOnly, .standby, .preferStandby].contains(target)
            #expect(world.checking.count == (isAsked ? 3 : 0), "\(target)")
        }
    }

    @Test("a lost role of a session that is retired already changes nothing")
    func retired() throws {
        var world = pool(.readWrite, minimum: 1)
        let lease = try world.mustLease()
        world.apply { $0.retireGeneration(at: $1) }
        world.apply { $0.lostRole(lease, at: $1) }
        world.release(lease)
        #expect(world.closeReasons == [.retired])
        #expect(!world.machine.retirement.isWanted)
    }
}

@Suite struct KnownRoleTests {
    @Test("no role is known during an outage, nor once a server of the wrong role was found")
    func known() throws {
        var world = MachineHarness(target: .readWrite)
        world.startUp()
        func known() -> ServerRole? { PoolSnapshot(world.machine, role: .primary, at: world.now).knownRole }
        #expect(known() == .primary)
        world.end(try world.mustLease())
        #expect(world.health == .suspect)
        #expect(known() == .primary, "requests wait for it")
        world.fail(.wrongRole)
        #expect(world.health == .suspect)
        #expect(known() == nil)
        world.advance(.milliseconds(10))
        while !world.connecting.isEmpty { world.fail(.refused) }
        world.advance(.seconds(1))
        #expect(world.health == .down)
        #expect(known() == nil)
    }
}

/// The same with servers.
@LoopActor
@Suite(.timeLimit(.minutes(3))) struct LostRoleServerTests {
    private func url(_ servers: [PostgresSandbox], _ attributes: String) -> String {
        servers[0].connectionURL(
            alternatives: Array(servers.dropFirst()), parameters: ["target_session_attrs": attributes])
    }

    /// Takes several connections at the same time, so that the pool has several sessions.
    private func fill(_ pool: PostgresPool, _ count: Int) async throws {
        var leases: [PooledConnection] = []
        for _ in 0..<count { leases.append(try await pool.checkOut(deadline: soon)) }
        for lease in leases {
            _ = try await lease.query("select 1", deadline: soon)
            pool.release(lease)
        }
    }

    @Test("sessions on a promoted standby move to another standby, or are refused where there is none")
    func promotion() async throws {
        let primary = try await PostgresSandbox.make()
        try await primary.start()
        let promoted = try await PostgresSandbox.makeStandby(of: primary)
        try await promoted.start()
        let other = try await PostgresSandbox.makeStandby(of: primary)
        try await other.start()
        try await withPool(url([promoted, primary], "standby"), { $0.outageGrace = .milliseconds(200) }) { lone, _ in
            try await withPool(url([promoted, other, primary], "prefer-standby")) { preferring, _ in
                try await withPool(url([promoted, other, primary], "read-only")) { pool, recorder in
                    for each in [pool, preferring, lone] { try await fill(each, 3) }
                    #expect(try await promoted.sessionCount() >= 3)
                    try await promoted.promote()
                    try await eventually("the promotion") {
                        try await promoted.execute("select pg_is_in_recovery()") == "f"
                    }
                    try await eventually("the sessions move", within: .seconds(10)) {
                        for each in [pool, preferring] { try await ping(each) }
                        _ = try? await ping(lone)
                        return try await promoted.sessionCount() == 0
                    }
                    #expect(pool.snapshot.health == .up)
                    #expect(recorder.reasons.contains(.wrongRole))
                    #expect(!recorder.events.contains { $0.isDown })
                    try await eventually("wrong role") { lone.snapshot.health == .readOnly }
                    let error = await #expect(throws: PoolError.self) { try await ping(lone) }
                    #expect(error?.code == PostgresError.Code.wrongRole)
                }
            }
        }
        for sandbox in [other, promoted, primary] { try await sandbox.remove() }
    }

    @Test("read-write sessions leave a server that becomes read-only; those for a primary stay")
    func becomesReadOnly() async throws {
        let old = try await PostgresSandbox.make()
        try await old.start()
        let new = try await PostgresSandbox.make()
        try await new.start()
        try await withPool(url([old, new], "primary")) { staying, _ in
            try await withPool(url([old, new], "read-write")) { pool, recorder in
                try await fill(pool, 3)
                try await fill(staying, 1)
                #expect(try await old.sessionCount() == 4)
                _ = try await old.execute("alter system set default_transaction_read_only = on")
                _ = try await old.execute("select pg_reload_conf()")
                try await eventually("the sessions move", within: .seconds(10)) {
                    try await ping(pool)
                    let (left, moved) = (try await old.sessionCount(), try await new.sessionCount())
                    return left == 1 && moved > 0
                }
                #expect(recorder.reasons.contains(.wrongRole))
                #expect(pool.snapshot.health == .up)
                try await ping(staying)
            }
        }
        for sandbox in [new, old] { try await sandbox.remove() }
    }
}
