import DispatchLoop
import PostgresSession
import Testing

@testable import DispatchPostgres

@Suite struct ProbingTests {
    /// Counts the connects begun in `time` if each is refused at once and a request arrives every `interval`.
    private func connects(in time: Duration, requestsEvery interval: Duration?, _ error: PostgresError) -> (
        rate: Double, worst: Int
    ) {
        var world = MachineHarness()
        world.start()
        let start = world.now
        var nextRequest = start
        while world.now - start < time {
            while !world.connecting.isEmpty { world.fail(error) }
            if let interval, world.now >= nextRequest {
                _ = world.checkOut()
                while !world.connecting.isEmpty { world.fail(error) }
                nextRequest = world.now + interval
            }
            world.advance(.milliseconds(1))
        }
        let times = world.connectTimes
        let worst = times.map { first in times.count { $0 >= first && $0 < first + .seconds(1) } }.max() ?? 0
        return (Double(times.count) / (Double(time.nanoseconds) / 1e9), worst)
    }

    @Test("down, without requests, at most five connects a second begin")
    func rateAlone() {
        #expect(connects(in: .seconds(60), requestsEvery: nil, .refused).rate <= 5)
    }

    @Test("down, with a thousand requests a second, at most twenty connects begin in any second")
    func rateOnDemand() {
        #expect(connects(in: .seconds(20), requestsEvery: .milliseconds(1), .refused).worst <= 20)
    }

    @Test("a server that admits clients and hangs up at the first query gets at most twenty connects a second")
    func hangsUp() {
        var world = MachineHarness { $0.minimum = 0 }
        world.start()
        let start = world.now
        while world.now - start < .seconds(5) {
            while !world.connecting.isEmpty { world.succeed() }
            for _ in 0..<8 { _ = world.checkOut() }
            for id in world.leased { world.end(id, .ended) }
            world.advance(.milliseconds(1))
        }
        let times = world.connectTimes
        let worst = times.map { first in times.count { $0 >= first && $0 < first + .seconds(1) } }.max() ?? 0
        #expect(worst <= 20, "\(worst) in the worst second")
    }

    @Test("a server without room for more sessions does not get a connect with every query")
    func noRoom() throws {
        var world = MachineHarness { $0.minimum = 0 }
        world.startUp()
        let start = world.now
        while world.now - start < .seconds(5) {
            while !world.connecting.isEmpty { world.fail(.tooMany) }
            for _ in 0..<8 where world.waiting.count < 100 { _ = world.checkOut() }
            for id in world.leased { world.release(id) }
            world.advance(.milliseconds(1))
        }
        #expect(world.health == .up)
        let times = world.connectTimes.filter { $0 >= start }
        let worst = times.map { first in times.count { $0 >= first && $0 < first + .seconds(1) } }.max() ?? 0
        #expect(worst <= 20, "\(worst) in the worst second")
        #expect(times.count >= 5, "the pool must keep trying: \(times.count)")
    }

    @Test("at most twenty sockets in any second also where logins at several hosts are slow", arguments: 1...7)
    func slowLogins(hosts: Int) {
        var world = MachineHarness(servers: hosts) { $0.maximum = 10 }
        world.start()
        let end = world.now + .seconds(20)
        while world.now < end {
            for id in world.connecting {
                let age = world.now - (world.machine.slots.slot(id)?.since ?? world.now)
                if age == .zero { world.progress(id) }
                if age == .milliseconds(1) { world.progress(id) }
            }
            if let oldest = world.connecting.first, let slot = world.machine.slots.slot(oldest),
                world.now - slot.since >= .milliseconds(100)
            {
                world.fail(.starting, sockets: hosts)
            }
            _ = world.checkOut(within: .seconds(1))
            world.advance(.milliseconds(1))
        }
        let times = world.connectTimes
        let worst = times.map { first in times.count { $0 >= first && $0 < first + .seconds(1) } }.max() ?? 0
        #expect(worst * hosts <= 20, "\(worst) probes of \(hosts) sockets in the worst second")
        #expect(worst >= min(20 / hosts, 16) - 1, "no slower than it must be: \(worst)")
    }

    @Test("sockets count, not connects: after an attempt that opens three, the next follows three times later")
    func severalSockets() {
        for (interval, limit) in [(nil, 5.0), (Duration.milliseconds(1), 20.0)] as [(Duration?, Double)] {
            var world = MachineHarness()
            world.start()
            let start = world.now
            var sockets = 0
            while world.now - start < .seconds(20) {
                while !world.connecting.isEmpty {
                    world.fail(.refused, sockets: 3)
                    sockets += 3
                }
                if interval != nil { _ = world.checkOut() }
                world.advance(.milliseconds(1))
            }
            #expect(Double(sockets) / 20 <= limit, "with a request every \(String(describing: interval))")
        }
    }

    @Test("while a request waits, the next probe is due at the spacing of demand")
    func waitersAreDemand() throws {
        var world = MachineHarness()
        world.startUp()
        world.end(try world.mustLease())
        _ = try world.mustWait()
        for _ in 0..<8 {
            world.fail(.refused)
            world.advance(Prober.demandSpacing)
            #expect(world.connecting.count == 1, "a probe every \(Prober.demandSpacing)")
        }
    }

    @Test("a hanging probe does not keep a request from bringing a new one forward; two that servers have accepted do")
    func hungIsNoReason() throws {
        for isAccepted in [false, true] {
            var world = MachineHarness { $0.maximum = 10 }
            world.start()
            for count in 2...3 {
                let hung = try #require(world.connecting.last)
                if isAccepted { world.progress(hung) }
                world.advance(Prober.demandSpacing)
                _ = world.checkOut()
                #expect(world.connecting.count == (isAccepted ? 2 : count))
            }
        }
    }

    @Test("an accepted probe that never ends delays the return by the spacing of demand, with waiters or with requests")
    func flightWithoutEnd() throws {
        for isDown in [false, true] {
            var world = MachineHarness { $0.maximum = 10 }
            world.start()
            if isDown { world.advance(.seconds(1)) }
            while world.connecting.count > 1 { world.fail(.refused) }
            let endless = try #require(world.connecting.last)
            world.progress(endless)
            #expect(world.health == (isDown ? .down : .suspect))
            let begin = world.now
            if !isDown { _ = try world.mustWait() }
            while world.connecting.count == 1, world.now - begin < .seconds(2) {
                if isDown { _ = world.checkOut() }
                world.advance(.milliseconds(1))
            }
            #expect(world.now - begin <= Prober.demandSpacing, "down: \(isDown)")
            let second = try #require(world.connecting.last)
            world.connecting.removeAll { $0 == second }
            world.apply { $0.connected(second, hasWrongRole: false, took: 1_000_000, at: $1) }
            #expect(world.health == .up, "down: \(isDown)")
        }
    }

    @Test("accepted probes that never end: two connects in the first second, then one a second, whatever arrives")
    func flightsWithoutEnd() throws {
        var world = MachineHarness { $0.maximum = 100 }
        world.start()
        let start = world.now
        while world.now - start < .seconds(20) {
            for id in world.connecting where world.machine.slots.slot(id)?.acceptedAt == nil { world.progress(id) }
            _ = world.checkOut()
            world.advance(.milliseconds(1))
        }
        #expect(world.connectTimes.count <= 21, "\(world.connectTimes.count) connects in 20 s")
    }

    @Test("a silent session is not closed for a second probe beside an accepted one")
    func noRoomForSecondProbe() throws {
        var world = MachineHarness { $0.maximum = 1 }
        world.start()
        world.progress(try #require(world.connecting.first))
        world.advance(Prober.demandSpacing)
        _ = world.checkOut()
        #expect(world.connecting.count == 1)
        #expect(world.closeReasons.isEmpty)
    }

    @Test(
        "a probe that tries a dead address after its server hung up delays neither requests nor the grace period"
    )
    func lostServer() throws {
        var world = MachineHarness { $0.maximum = 10 }
        world.start()
        let probe = try #require(world.connecting.first)
        let waiter = try world.mustWait()
        world.progress(probe)
        world.progress(probe)
        world.advance(.milliseconds(5))
        world.apply { $0.lostServer(probe, at: $1) }
        world.advance(Prober.demandSpacing)
        #expect(world.connecting.count == 2, "the waiters get a new one")
        world.advance(.milliseconds(750))
        #expect(world.failed[waiter] != nil, "the grace was not prolonged")
    }

    @Test("silent logins stay open: one more a second, and none is closed")
    func slowLogins() throws {
        var world = MachineHarness { $0.maximum = 10 }
        world.start()
        let start = world.now
        while world.now - start < .seconds(7) {
            for id in world.connecting { if world.machine.slots.slot(id)?.acceptedAt == nil { world.progress(id) } }
            _ = world.checkOut()
            world.advance(.milliseconds(10))
        }
        #expect(world.connecting.count <= 8)
        #expect(world.closeReasons.isEmpty)
        for id in world.connecting { if world.machine.slots.slot(id)?.acceptedAt == nil { world.progress(id) } }
        world.succeed()
        #expect(world.health == .up)
        #expect(world.closeReasons.isEmpty, "the later ones may succeed soon")
        #expect(world.breaches() == [])
    }

    @Test(
        "slow start counts each first message in a login: one, two, four connects for waiters, where logins take long")
    func talkingLogins() throws {
        for isUp in [false, true] {
            var world = MachineHarness { $0.maximum = 10 }
            if isUp {
                world.startUp()
                _ = world.lease()
            } else {
                world.start()
            }
            for _ in 0..<4 { _ = world.wait() }
            var counts: [Int] = []
            for _ in 0..<4 {
                for id in world.connecting { world.progress(id) }
                world.advance(Prober.demandSpacing)
                for id in world.connecting where world.machine.slots.slot(id)?.acceptedAt == nil { world.progress(id) }
                counts.append(world.connecting.count)
            }
            #expect(counts.last == 4, "up: \(isUp), \(counts)")
            #expect(world.closeReasons.isEmpty)
        }
    }

    @Test("a server that accepts and stays silent gets a new probe once a second; old ones are overtaken on its return")
    func acceptingHole() throws {
        var world = MachineHarness { $0.maximum = 4 }
        world.start()
        let start = world.now
        while world.now - start < .seconds(30) {
            for id in world.connecting { if world.machine.slots.slot(id)?.acceptedAt == nil { world.progress(id) } }
            world.advance(.milliseconds(10))
        }
        #expect(world.connecting.count == 4)
        #expect(world.connectTimes.count <= 16, "\(world.connectTimes.count) connects in 30 s")
        let youngest = try #require(world.connecting.last)
        world.connecting.removeAll { $0 == youngest }
        world.apply { $0.connected(youngest, hasWrongRole: false, took: 1_000_000, at: $1) }
        #expect(world.health == .up)
        #expect(world.connecting.count == 3, "they may be logins that still run at the server")
        world.advance(Prober.acceptedPatience)
        #expect(world.connecting.isEmpty, "the older ones were overtaken")
    }

    @Test("a delay of the login on this side is the cause until the server sends something")
    func heldUp() {
        let keys = PostgresError(code: PostgresError.Code.loginKeys, message: "keys", disposition: .outage)
        var world = MachineHarness { $0.maximum = 1 }
        world.start()
        world.apply { $0.heldUp(keys, at: $1) }
        #expect(world.machine.outage?.cause == keys)
        world.fail(.badPassword)
        #expect(world.machine.outage?.cause == .badPassword)
        world.apply { $0.heldUp(keys, at: $1) }
        #expect(world.machine.outage?.cause == .badPassword)
    }

    @Test("an older connect's failure does not replace a newer one's")
    func olderAnswer() throws {
        var world = MachineHarness { $0.maximum = 10 }
        world.start()
        world.advance(.milliseconds(300))
        let (older, newer) = (world.connecting[0], world.connecting[1])
        world.connecting = []
        world.sockets = []
        world.apply { $0.connectFailed(newer, .badPassword, at: $1) }
        #expect(world.health == .misconfigured)
        world.apply { $0.connectFailed(older, .connectTimeout, at: $1) }
        #expect(world.health == .misconfigured)
        #expect(world.machine.outage?.cause == .badPassword)
    }

    @Test("misconfigured, about one connect a second begins, however many requests arrive")
    func rateMisconfigured() {
        let rate = connects(in: .seconds(60), requestsEvery: .milliseconds(1), .badPassword).rate
        #expect(rate <= 1.05 && rate >= 0.9, "\(rate) a second")
    }

    @Test("down by silence, a request fails at once, and at most twenty connects begin in any second")
    func downBySilence() {
        var world = MachineHarness { $0.maximum = 10 }
        world.start()
        world.advance(.seconds(2))
        #expect(world.health == .down)
        for _ in 0..<5_000 {
            guard case .fail = world.checkOut() else {
                Issue.record("expected to fail at once")
                return
            }
            world.advance(.milliseconds(1))
        }
        let times = world.connectTimes
        let worst = times.map { first in times.count { $0 >= first && $0 < first + .seconds(1) } }.max() ?? 0
        #expect(worst <= 20, "\(worst) in the worst second")
    }

    @Test(
        "while probes hang, four run, a new one every quarter of a second, and the first keeps running"
    )
    func hungProbes() throws {
        var world = MachineHarness { $0.maximum = 10 }
        world.start()
        let patient = try #require(world.connecting.first)
        world.advance(.seconds(3))
        #expect(world.connecting.count == 4)
        #expect(world.connecting.first == patient)
        let youngest = try #require(world.connectTimes.last)
        #expect(world.now - youngest <= .milliseconds(250))
        #expect(world.connectTimes.count <= 13)
        #expect(Set(world.closeReasons) == [.hung])
        #expect(world.breaches() == [])
    }

    @Test("with a maximum of one socket, a hanging probe is replaced after a second")
    func soloTimeout() throws {
        var world = MachineHarness { $0.maximum = 1 }
        world.start()
        let first = try #require(world.connecting.first)
        world.advance(.milliseconds(900))
        #expect(world.connecting == [first])
        world.advance(.milliseconds(400))
        #expect(world.connecting.count == 1)
        #expect(world.connecting != [first])
    }

    @Test("the first probe to succeed wins, and hanging ones are closed unless a request needs them")
    func firstWins() {
        var world = MachineHarness { $0.maximum = 10 }
        world.start()
        world.advance(.seconds(1))
        world.succeed()
        #expect(world.health == .up)
        #expect(
            world.connecting.allSatisfy {
                world.now - (world.machine.slots.slot($0)?.since ?? world.now) < Prober.hangInterval
            })
        #expect(world.closeReasons.contains(.overtaken))
        #expect(world.breaches() == [])
    }
}
