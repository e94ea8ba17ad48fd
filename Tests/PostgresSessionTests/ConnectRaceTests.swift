import DispatchLoop
import Testing

@testable import PostgresSession

@Suite struct ConnectRaceTests {
    @Test("a dead address before the live one costs the stagger; the next connect begins with the winner")
    func deadFirst() {
        var race = RaceHarness(["10.0.0.1": .dead, "10.0.0.2": .lives()])
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.2"))
        #expect(race.took == .milliseconds(253))
        #expect(race.mostOpen == 1, "a second socket was not permitted")
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.2"))
        #expect(race.took == .milliseconds(3))
        #expect(race.order == ["10.0.0.2"])
    }

    @Test("with a free slot both sockets are open at once, and the loser is closed")
    func sideBySide() {
        var race = RaceHarness(["10.0.0.1": .lives(accept: .milliseconds(400)), "10.0.0.2": .lives()])
        race.extra = 1
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.2"))
        #expect(race.mostOpen == 2)
        #expect(race.closed == 1)
    }

    @Test("an address that refuses yields at once")
    func refusing() {
        var race = RaceHarness(["10.0.0.1": .refuses(), "10.0.0.2": .lives()])
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.2"))
        #expect(race.took == .milliseconds(4))
    }

    @Test("the last of many addresses gets its turn before the deadline", arguments: [2, 6, 24, 60], [0, 1, 3])
    func lastOfMany(count: Int, extra: Int) {
        var race = RaceHarness([:])
        race.extra = extra
        let hosts = (1...count).map { "10.0.0.\($0)" }
        race.world[hosts[count - 1]] = .lives()
        #expect(race.run(hosts) == .won(hosts[count - 1]))
        #expect(race.took < .seconds(5))
        #expect(race.mostOpen <= 1 + extra)
        // With a known winner, the next connect takes no longer than one to a single address.
        #expect(race.run(hosts) == .won(hosts[count - 1]))
        #expect(race.took == .milliseconds(3))
    }

    @Test("a silent server that accepts keeps its turn for its share of the time", arguments: [0, 1])
    func silent(extra: Int) {
        var race = RaceHarness(["10.0.0.1": .silent, "10.0.0.2": .lives()])
        race.extra = extra
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.2"))
        // Without an extra socket the silent server keeps its turn for half of the five seconds; with one, for the head
        // start.
        #expect(race.took == (extra == 0 ? .milliseconds(2_503) + .nanoseconds(500_000) : .milliseconds(254)))
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.2"))
        #expect(race.took == .milliseconds(3))
    }

    @Test("a login may take longer than the reach deadline")
    func slowLogin() {
        var race = RaceHarness(["10.0.0.1": .lives(login: .seconds(7))])
        #expect(race.run(["10.0.0.1"]) == .won("10.0.0.1"))
        #expect(race.took == .milliseconds(7_001))
        #expect(race.order.count == 1)
    }

    @Test("after a slow login is known, other addresses are not started beside it every quarter of a second")
    func slowLoginIsKnown() {
        var race = RaceHarness(["10.0.0.1": .lives(login: .milliseconds(400)), "10.0.0.2": .lives(login: .seconds(1))])
        race.extra = 4
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.1"))
        #expect(race.order == ["10.0.0.1", "10.0.0.2"])
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.1"))
        #expect(race.order == ["10.0.0.1"])
    }

    @Test("an endless login fails after its own limit")
    func endlessLogin() {
        var race = RaceHarness(["10.0.0.1": .silent])
        race.login = .seconds(9)
        #expect(race.run(["10.0.0.1"]) == .failed("CONNECT_TIMEOUT"))
        #expect(race.took == .milliseconds(9_001))
    }

    @Test("without any answer, the race ends at the reach deadline", arguments: [0, 5])
    func allDead(extra: Int) {
        var race = RaceHarness([:])
        race.extra = extra
        #expect(race.run(["10.0.0.1", "10.0.0.2", "10.0.0.3"]) == .failed("CONNECT_TIMEOUT"))
        #expect(race.took == .seconds(5))
        // Each turn is twice as long as the previous one, which bounds the number of SYNs.
        #expect(race.order.count <= 12)
    }

    @Test("address families alternate, beginning with the first address's")
    func interleaved() {
        var race = RaceHarness([:])
        race.names = ["db": (["fd00::1", "fd00::2", "fd00::3", "10.0.0.1"], .milliseconds(1))]
        race.reach = .milliseconds(900)
        _ = race.run(["db"])
        #expect(Array(race.order.prefix(4)) == ["fd00::1", "10.0.0.1", "fd00::2", "fd00::3"])
    }

    @Test("names are looked up concurrently; a stalled one costs the others the stagger")
    func stalledName() {
        var race = RaceHarness(["10.0.0.2": .lives()])
        race.names = ["b": (["10.0.0.2"], .milliseconds(5))]
        #expect(race.run(["a", "b"]) == .won("10.0.0.2"))
        #expect(race.took == .milliseconds(253))
        // From now on, the race waits for the name that worked.
        #expect(race.run(["a", "b"]) == .won("10.0.0.2"))
        #expect(race.took == .milliseconds(8))
    }

    @Test("the first name goes first if its look-up ends within the stagger")
    func resolutionDelay() {
        var race = RaceHarness(["10.0.0.1": .lives(), "10.0.0.2": .lives()])
        race.names = ["a": (["10.0.0.1"], .milliseconds(30)), "b": (["10.0.0.2"], .milliseconds(5))]
        #expect(race.run(["a", "b"]) == .won("10.0.0.1"))
        #expect(race.order == ["10.0.0.1"])
    }

    @Test("the error names a look-up that never ends")
    func onlyStalled() {
        var race = RaceHarness([:])
        #expect(race.run(["a"]) == .failed("CONNECT_TIMEOUT"))
        #expect(race.error?.message.contains("look-up") == true)
        #expect(race.took == .seconds(5))
    }

    @Test("after a server's error its other addresses are skipped; other servers are tried")
    func spoken() {
        let refusal = RaceHarness.fatal("28P01", .configuration)
        var race = RaceHarness(["10.0.0.1": .says(refusal), "10.0.0.2": .lives(), "10.0.0.3": .lives()])
        race.names = ["db": (["10.0.0.1", "10.0.0.2"], .zero)]
        #expect(race.run(["db"]) == .failed("28P01"))
        #expect(race.order == ["10.0.0.1"])
        #expect(race.run(["db", "10.0.0.3"]) == .won("10.0.0.3"))
    }

    @Test("the most telling failure is kept; of equal ones, the latest")
    func failures() {
        let starting = RaceHarness.fatal("57P03", .outage)
        var race = RaceHarness(["10.0.0.1": .says(starting), "10.0.0.2": .refuses(), "10.0.0.3": .dead])
        #expect(race.run(["10.0.0.1", "10.0.0.2", "10.0.0.3"]) == .failed("57P03"))
        #expect(race.run(["10.0.0.2", "10.0.0.3"]) == .failed("ECONNREFUSED"), "a timeout says less than a refusal")
        race.world["10.0.0.3"] = .says(RaceHarness.fatal("53300", .outage))
        #expect(race.run(["10.0.0.1", "10.0.0.3"]) == .failed("53300"))
        #expect(race.run(["10.0.0.3", "10.0.0.1"]) == .failed("57P03"))
        race.world["10.0.0.2"] = .says(RaceHarness.wrongRole)
        #expect(race.run(["10.0.0.2", "10.0.0.1"]) == .failed("WRONG_ROLE"))
        #expect(race.error?.wasNeverSent == true)
        #expect(race.error?.endpoint == "10.0.0.2:5432")
    }

    @Test("an address with an unanswered SYN gets no second one, unless it is the only address")
    func oneSYN() {
        var race = RaceHarness(["10.0.0.1": .refuses()])
        let dead = ConnectTarget(server: 1, address: "10.0.0.2")
        race.book.opened(dead, at: race.now - .milliseconds(300))
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .failed("ECONNREFUSED"))
        #expect(race.order == ["10.0.0.1"])
        #expect(race.took == .milliseconds(1), "an address that refuses is retried sooner")
        // Within the stagger the address may still answer; after a second the SYN may be lost.
        for age in [100, 1_100] {
            race.book = AddressBook(seed: 1)
            race.book.opened(dead, at: race.now - .milliseconds(age))
            _ = race.run(["10.0.0.1", "10.0.0.2"])
            #expect(race.order.contains("10.0.0.2"))
        }
        race.book = AddressBook(seed: 1)
        race.book.opened(ConnectTarget(server: 0, address: "10.0.0.2"), at: race.now - .milliseconds(300))
        race.world["10.0.0.2"] = .lives()
        #expect(race.run(["10.0.0.2"]) == .won("10.0.0.2"))
    }

    @Test("beside an address that refuses, a silent one is tried once a second, for a second")
    func silentBesideRefusing() {
        var race = RaceHarness(["10.0.0.1": .lives()])
        let hosts = ["10.0.0.2", "10.0.0.1"]
        #expect(race.run(hosts) == .won("10.0.0.1"))
        race.world["10.0.0.1"] = .refuses()
        race.now = race.now + .seconds(60)
        #expect(race.run(hosts) == .failed("ECONNREFUSED"))
        #expect(race.order == ["10.0.0.1", "10.0.0.2"])
        #expect(race.took == .milliseconds(1_001), "not until the deadline")
        race.now = race.now + .milliseconds(10)
        race.book.opened(ConnectTarget(server: 0, address: "10.0.0.2"), at: race.now)
        #expect(race.run(hosts) == .failed("ECONNREFUSED"))
        #expect(race.order == ["10.0.0.1"])
        #expect(race.took == .milliseconds(1))
        // The address answers again, slowly.
        race.now = race.now + .seconds(2)
        race.world["10.0.0.2"] = .lives(accept: .milliseconds(600))
        #expect(race.run(hosts) == .won("10.0.0.2"))
    }

    @Test("if all addresses are silent, all are tried, the one with fewest attempts first")
    func allSilent() {
        var race = RaceHarness([:])
        let hosts = ["10.0.0.1", "10.0.0.2"]
        race.reach = .milliseconds(600)
        #expect(race.run(hosts) == .failed("CONNECT_TIMEOUT"))
        race.book.opened(ConnectTarget(server: 0, address: hosts[0]), at: race.now - .milliseconds(300))
        race.world[hosts[1]] = .lives()
        #expect(race.run(hosts) == .won(hosts[1]))
        #expect(race.took == .milliseconds(3))
        race.world = [hosts[0]: .lives()]
        race.book.opened(ConnectTarget(server: 1, address: hosts[1]), at: race.now - .milliseconds(300))
        race.reach = .seconds(5)
        #expect(race.run(hosts) == .won(hosts[0]))
        #expect(race.took < .milliseconds(300), "although another attempt tries it")
    }

    @Test("the book has no unanswered SYN after the race")
    func booksAreClosed() {
        var race = RaceHarness(["10.0.0.1": .dead, "10.0.0.2": .silent, "10.0.0.3": .refuses(), "10.0.0.4": .lives()])
        race.extra = 3
        let hosts = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]
        #expect(race.run(hosts) == .won("10.0.0.4"))
        for (index, host) in hosts.enumerated() {
            let target = ConnectTarget(server: index, address: host)
            #expect(race.book.unestablishedCount(target) == 0)
            #expect(race.book.unansweredCount(target) == 0)
        }
    }

    @Test("a winner that has become silent goes last")
    func fallenSilent() {
        var race = RaceHarness(["10.0.0.1": .lives(), "10.0.0.2": .lives()])
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.1"))
        race.world["10.0.0.1"] = .dead
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.2"))
        #expect(race.took == .milliseconds(253))
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.2"))
        #expect(race.took == .milliseconds(3))
    }

    // MARK: Roles

    @Test("prefer-standby uses a standby at any position, and a primary if there is none")
    func prefersStandby() {
        var race = RaceHarness(["10.0.0.1": .primary, "10.0.0.2": .standby])
        race.prefersStandby = true
        let hosts = ["10.0.0.1", "10.0.0.2"]
        #expect(race.run(hosts) == .won("10.0.0.2"))
        #expect(race.run(hosts) == .won("10.0.0.2"))
        #expect(race.order == ["10.0.0.2"], "a known standby goes first")
        race.world["10.0.0.2"] = .refuses()
        #expect(race.run(hosts) == .won("10.0.0.1"))
        // The standby answers again and is preferred.
        race.world["10.0.0.2"] = .standby
        #expect(race.run(hosts) == .won("10.0.0.2"))
        #expect(race.order == ["10.0.0.2"])
        race.world["10.0.0.2"] = .dead
        #expect(race.run(hosts) == .won("10.0.0.1"))
        #expect(race.took < .milliseconds(300))
        race.world["10.0.0.1"] = .refuses()
        #expect(race.run(hosts) == .failed("ECONNREFUSED"), "the wrong role of a primary is no failure")
    }

    @Test("with a required role, the server that has it goes first")
    func roleIsKnown() {
        var race = RaceHarness(["10.0.0.1": .says(RaceHarness.wrongRole), "10.0.0.2": .lives()])
        let hosts = ["10.0.0.1", "10.0.0.2"]
        #expect(race.run(hosts) == .won("10.0.0.2"))
        #expect(race.order == hosts)
        #expect(race.run(hosts) == .won("10.0.0.2"))
        #expect(race.order == ["10.0.0.2"])
    }

    @Test("load_balance_hosts=random shuffles each attempt and does not prefer the winner")
    func shuffled() {
        var race = RaceHarness([:])
        race.isShuffled = true
        let addresses = (1...4).map { "10.0.0.\($0)" }
        for address in addresses { race.world[address] = .lives() }
        race.names = ["db": (addresses, .milliseconds(1))]
        var wins: [String: Int] = [:]
        for _ in 0..<400 {
            if case .won(let address) = race.run(["db"]) { wins[address, default: 0] += 1 }
        }
        #expect(addresses.allSatisfy { (60...140).contains(wins[$0] ?? 0) }, "\(wins)")
        wins = [:]
        for _ in 0..<400 {
            if case .won(let address) = race.run(addresses) { wins[address, default: 0] += 1 }
        }
        #expect(addresses.allSatisfy { (60...140).contains(wins[$0] ?? 0) }, "\(wins)")
    }

    // MARK: Helper threads

    @Test("a socket that a helper thread holds keeps its slot until the helper closes it")
    func slotOfHelper() {
        var book = AddressBook(seed: 1)
        var now = MonotonicTime(nanoseconds: 1_000_000_000_000)
        let servers = ["10.0.0.1", "10.0.0.2"].map {
            ConnectionConfiguration.Server(host: $0, address: "", port: "5432")
        }
        var race = ConnectRace(servers: servers, limits: ConnectLimits(reachDeadline: now + .seconds(5)))
        race.start(at: now, &book)
        race.accepted(1, at: now, &book)
        race.computes(1, .keys, at: now)
        now = now + .seconds(3)
        race.actions = []
        race.tick(at: now, &book)
        #expect(race.actions == [.askForSocket])
        race.actions = []
        race.permitted(false, at: now, &book)
        #expect(race.actions == [.close(1)], "its turn is over, and its slot is not free yet")
        race.actions = []
        race.released(at: now, &book)
        #expect(race.actions == [.open(2, ConnectTarget(server: 1, address: "10.0.0.2"), attributes: nil)])
    }

    @Test(
        "a login that still computes at its limit fails with that work as the cause",
        arguments: [
            (OffLoopPoll.Kind.keys, "computing the keys of SCRAM"), (.tls, "computing the TLS handshake"),
            (.gss, "waiting for Kerberos"),
        ])
    func computingAtTheEnd(kind: OffLoopPoll.Kind, work: String) {
        var book = AddressBook(seed: 1)
        let now = MonotonicTime(nanoseconds: 1_000_000_000_000)
        let server = ConnectionConfiguration.Server(host: "10.0.0.1", address: "", port: "5432")
        var race = ConnectRace(
            servers: [server], limits: ConnectLimits(reachDeadline: now + .seconds(5), loginTimeout: .seconds(6)))
        race.start(at: now, &book)
        race.accepted(1, at: now, &book)
        race.computes(1, kind, at: now)
        #expect(race.hindrance(at: now + .milliseconds(900)) == nil)
        #expect(race.hindrance(at: now + .seconds(1))?.code == PostgresError.Code.loginKeys)
        race.tick(at: now + .seconds(6), &book)
        guard case .fail(let error) = race.actions.last else {
            Issue.record("expected the race to fail")
            return
        }
        #expect(error.code == PostgresError.Code.loginKeys)
        #expect(error.message.contains(work), "\(error.message)")
        #expect((error.hint != nil) == (kind == .keys), "the hint is about the rounds")
    }

    @Test("one outlier does not dominate an estimate, and a permanent change is followed")
    func estimates() {
        var estimate = TimeEstimate()
        for _ in 0..<50 { estimate.add(.milliseconds(10)) }
        estimate.add(.seconds(60))
        #expect(estimate.limit.map { $0 < .milliseconds(300) } == true)
        for _ in 0..<6 { estimate.add(.seconds(3)) }
        #expect(estimate.limit.map { $0 > .seconds(3) } == true, "a permanent slow-down is followed")
    }

    @Test("the book forgets old addresses")
    func bounded() {
        var book = AddressBook(seed: 1)
        let now = MonotonicTime(nanoseconds: 1_000_000_000_000)
        for index in 0..<10_000 {
            let target = ConnectTarget(server: 0, address: "10.0.\(index / 250).\(index % 250)")
            book.opened(target, at: now)
            book.connectEnded(target, openedAt: now, isSilent: true)
        }
        #expect(book.count <= AddressBook.capacity)
    }
}
