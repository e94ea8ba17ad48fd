import DispatchLoop
import Testing

@testable import PostgresSession

@Suite struct ConnectRaceTests {
    @Test("a dead address before the live one costs the stagger, not a second; the next connect goes where it worked")
    func deadFirst() {
        var race = RaceHarness(["10.0.0.1": .dead, "10.0.0.2": .lives()])
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.2"))
        #expect(race.took == .milliseconds(253))
        #expect(race.mostOpen == 1, "nobody has permitted a second socket")
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.2"))
        #expect(race.took == .milliseconds(3))
        #expect(race.order == ["10.0.0.2"])
    }

    @Test("with a slot to spare both are open at once, and the loser is closed")
    func sideBySide() {
        var race = RaceHarness(["10.0.0.1": .lives(accept: .milliseconds(400)), "10.0.0.2": .lives()])
        race.extra = 1
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.2"))
        #expect(race.mostOpen == 2)
        #expect(race.closed == 1)
    }

    @Test("an address that refuses gives way at once")
    func refusing() {
        var race = RaceHarness(["10.0.0.1": .refuses(), "10.0.0.2": .lives()])
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.2"))
        #expect(race.took == .milliseconds(4))
    }

    @Test("the last of many addresses gets its turn within the time", arguments: [2, 6, 24, 60], [0, 1, 3])
    func lastOfMany(count: Int, extra: Int) {
        var race = RaceHarness([:])
        race.extra = extra
        let hosts = (1...count).map { "10.0.0.\($0)" }
        race.world[hosts[count - 1]] = .lives()
        #expect(race.run(hosts) == .won(hosts[count - 1]))
        #expect(race.took < .seconds(5))
        #expect(race.mostOpen <= 1 + extra)
        // With one it knows of, the next one is as quick as with that one alone.
        #expect(race.run(hosts) == .won(hosts[count - 1]))
        #expect(race.took == .milliseconds(3))
    }

    @Test("one that accepts and says nothing keeps its turn for its share of the time", arguments: [0, 1])
    func silent(extra: Int) {
        var race = RaceHarness(["10.0.0.1": .silent, "10.0.0.2": .lives()])
        race.extra = extra
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.2"))
        // A half of the five seconds; beside it, as soon as it has had its start.
        #expect(race.took == (extra == 0 ? .milliseconds(2_503) + .nanoseconds(500_000) : .milliseconds(254)))
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.2"))
        #expect(race.took == .milliseconds(3))
    }

    @Test("a log-in that takes longer than reaching the server may is not given up")
    func slowLogin() {
        var race = RaceHarness(["10.0.0.1": .lives(login: .seconds(7))])
        #expect(race.run(["10.0.0.1"]) == .won("10.0.0.1"))
        #expect(race.took == .milliseconds(7_001))
        #expect(race.order.count == 1)
    }

    @Test("once a slow log-in is known for what it is, others are not tried beside it every quarter of a second")
    func slowLoginIsKnown() {
        var race = RaceHarness(["10.0.0.1": .lives(login: .milliseconds(400)), "10.0.0.2": .lives(login: .seconds(1))])
        race.extra = 4
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.1"))
        #expect(race.order == ["10.0.0.1", "10.0.0.2"])
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.1"))
        #expect(race.order == ["10.0.0.1"])
    }

    @Test("a log-in that never ends is given up after its own time, and the error says so")
    func endlessLogin() {
        var race = RaceHarness(["10.0.0.1": .silent])
        race.login = .seconds(9)
        #expect(race.run(["10.0.0.1"]) == .failed("CONNECT_TIMEOUT"))
        #expect(race.took == .milliseconds(9_001))
    }

    @Test("nobody answers: it ends when the time to reach a server has passed", arguments: [0, 5])
    func allDead(extra: Int) {
        var race = RaceHarness([:])
        race.extra = extra
        #expect(race.run(["10.0.0.1", "10.0.0.2", "10.0.0.3"]) == .failed("CONNECT_TIMEOUT"))
        #expect(race.took == .seconds(5))
        // With twice the patience each time round: not a stream of SYNs.
        #expect(race.order.count <= 12)
    }

    @Test("the families take turns, the first one first")
    func interleaved() {
        var race = RaceHarness([:])
        race.names = ["db": (["fd00::1", "fd00::2", "fd00::3", "10.0.0.1"], .milliseconds(1))]
        race.reach = .milliseconds(900)
        _ = race.run(["db"])
        #expect(Array(race.order.prefix(4)) == ["fd00::1", "10.0.0.1", "fd00::2", "fd00::3"])
    }

    @Test("names are looked up side by side; one that stalls costs the others the stagger")
    func stalledName() {
        var race = RaceHarness(["10.0.0.2": .lives()])
        race.names = ["b": (["10.0.0.2"], .milliseconds(5))]
        #expect(race.run(["a", "b"]) == .won("10.0.0.2"))
        #expect(race.took == .milliseconds(253))
        // From now on the name that worked is waited for, not the other.
        #expect(race.run(["a", "b"]) == .won("10.0.0.2"))
        #expect(race.took == .milliseconds(8))
    }

    @Test("a first name that is known soon enough goes first")
    func resolutionDelay() {
        var race = RaceHarness(["10.0.0.1": .lives(), "10.0.0.2": .lives()])
        race.names = ["a": (["10.0.0.1"], .milliseconds(30)), "b": (["10.0.0.2"], .milliseconds(5))]
        #expect(race.run(["a", "b"]) == .won("10.0.0.1"))
        #expect(race.order == ["10.0.0.1"])
    }

    @Test("a name that stalls for all the time is what the error speaks of")
    func onlyStalled() {
        var race = RaceHarness([:])
        #expect(race.run(["a"]) == .failed("CONNECT_TIMEOUT"))
        #expect(race.error?.message.contains("looked up") == true)
        #expect(race.took == .seconds(5))
    }

    @Test("a server that has spoken says the same on its other addresses; other servers are asked")
    func spoken() {
        let refusal = RaceHarness.fatal("28P01", .configuration)
        var race = RaceHarness(["10.0.0.1": .says(refusal), "10.0.0.2": .lives(), "10.0.0.3": .lives()])
        race.names = ["db": (["10.0.0.1", "10.0.0.2"], .zero)]
        #expect(race.run(["db"]) == .failed("28P01"))
        #expect(race.order == ["10.0.0.1"])
        #expect(race.run(["db", "10.0.0.3"]) == .won("10.0.0.3"))
    }

    @Test("the failure that says most is kept, whatever comes later; of equals the later one")
    func failures() {
        let starting = RaceHarness.fatal("57P03", .outage)
        var race = RaceHarness(["10.0.0.1": .says(starting), "10.0.0.2": .refuses(), "10.0.0.3": .dead])
        #expect(race.run(["10.0.0.1", "10.0.0.2", "10.0.0.3"]) == .failed("57P03"))
        #expect(race.run(["10.0.0.2", "10.0.0.3"]) == .failed("ECONNREFUSED"), "silence says less than a refusal")
        race.world["10.0.0.3"] = .says(RaceHarness.fatal("53300", .outage))
        #expect(race.run(["10.0.0.1", "10.0.0.3"]) == .failed("53300"))
        #expect(race.run(["10.0.0.3", "10.0.0.1"]) == .failed("57P03"))
        race.world["10.0.0.2"] = .says(RaceHarness.wrongRole)
        #expect(race.run(["10.0.0.2", "10.0.0.1"]) == .failed("WRONG_ROLE"))
        #expect(race.error?.wasNeverSent == true)
        #expect(race.error?.endpoint == "10.0.0.2:5432")
    }

    @Test("an address with a SYN that nobody has answered gets no second one beside it, unless it is the only one")
    func oneSYN() {
        var race = RaceHarness(["10.0.0.1": .refuses()])
        let dead = ConnectTarget(server: 1, address: "10.0.0.2")
        race.book.opened(dead, at: race.now - .milliseconds(300))
        #expect(race.run(["10.0.0.1", "10.0.0.2"]) == .failed("ECONNREFUSED"))
        #expect(race.order == ["10.0.0.1"])
        #expect(race.took == .milliseconds(1), "what refuses is tried again sooner")
        // Within its stagger it is no dead one yet; after a second the SYN may be lost.
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

    @Test("beside one that refuses, a silent one is tried once a second and for no longer than that")
    func silentBesideRefusing() {
        var race = RaceHarness(["10.0.0.1": .lives()])
        let hosts = ["10.0.0.2", "10.0.0.1"]
        #expect(race.run(hosts) == .won("10.0.0.1"))
        race.world["10.0.0.1"] = .refuses()
        race.now = race.now + .seconds(60)
        #expect(race.run(hosts) == .failed("ECONNREFUSED"))
        #expect(race.order == ["10.0.0.1", "10.0.0.2"])
        #expect(race.took == .milliseconds(1_001), "not for all the time there is")
        race.now = race.now + .milliseconds(10)
        race.book.opened(ConnectTarget(server: 0, address: "10.0.0.2"), at: race.now)
        #expect(race.run(hosts) == .failed("ECONNREFUSED"))
        #expect(race.order == ["10.0.0.1"])
        #expect(race.took == .milliseconds(1))
        // Back, and slow to answer: it is reached all the same.
        race.now = race.now + .seconds(2)
        race.world["10.0.0.2"] = .lives(accept: .milliseconds(600))
        #expect(race.run(hosts) == .won("10.0.0.2"))
    }

    @Test("where all are silent, all are tried, whoever else tries them; the least tried goes first")
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
        #expect(race.took < .milliseconds(300), "though another one tries it already")
    }

    @Test("no SYN stays in the book when the race is over")
    func booksAreClosed() {
        var race = RaceHarness(["10.0.0.1": .dead, "10.0.0.2": .silent, "10.0.0.3": .refuses(), "10.0.0.4": .lives()])
        race.extra = 3
        let hosts = ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]
        #expect(race.run(hosts) == .won("10.0.0.4"))
        for (index, host) in hosts.enumerated() {
            #expect(race.book.unestablishedCount(ConnectTarget(server: index, address: host)) == 0)
        }
    }

    @Test("what worked last and has fallen silent goes behind the others")
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

    @Test("prefer-standby takes the standby wherever it stands, and a primary where there is none")
    func prefersStandby() {
        var race = RaceHarness(["10.0.0.1": .primary, "10.0.0.2": .standby])
        race.prefersStandby = true
        let hosts = ["10.0.0.1", "10.0.0.2"]
        #expect(race.run(hosts) == .won("10.0.0.2"))
        #expect(race.run(hosts) == .won("10.0.0.2"))
        #expect(race.order == ["10.0.0.2"], "known as a standby: it goes first")
        race.world["10.0.0.2"] = .refuses()
        #expect(race.run(hosts) == .won("10.0.0.1"))
        // Back: the memory does not stick to the primary.
        race.world["10.0.0.2"] = .standby
        #expect(race.run(hosts) == .won("10.0.0.2"))
        #expect(race.order == ["10.0.0.2"])
        race.world["10.0.0.2"] = .dead
        #expect(race.run(hosts) == .won("10.0.0.1"))
        #expect(race.took < .milliseconds(300))
        race.world["10.0.0.1"] = .refuses()
        #expect(race.run(hosts) == .failed("ECONNREFUSED"), "that a primary was one is no failure")
    }

    @Test("where a role is asked for, who has it goes first")
    func roleIsKnown() {
        var race = RaceHarness(["10.0.0.1": .says(RaceHarness.wrongRole), "10.0.0.2": .lives()])
        let hosts = ["10.0.0.1", "10.0.0.2"]
        #expect(race.run(hosts) == .won("10.0.0.2"))
        #expect(race.order == hosts)
        #expect(race.run(hosts) == .won("10.0.0.2"))
        #expect(race.order == ["10.0.0.2"])
    }

    @Test("load_balance_hosts=random: each attempt has an order of its own, and the winner is not stuck to")
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

    // MARK: Helpers

    @Test("a socket that another thread works on keeps its place until that lets go")
    func lingering() {
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
        #expect(race.actions == [.close(1)], "its turn is over, and there is no room for the next yet")
        race.actions = []
        race.released(at: now, &book)
        #expect(race.actions == [.open(2, ConnectTarget(server: 1, address: "10.0.0.2"), attributes: nil)])
    }

    @Test(
        "a log-in that is still at work when its time has passed is named for that work",
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
        #expect((error.hint != nil) == (kind == .keys), "the rounds can be lowered")
    }

    @Test("a wrong estimate is soon a right one: a minute's answer does not become everybody's patience")
    func estimates() {
        var estimate = TimeEstimate()
        for _ in 0..<50 { estimate.add(.milliseconds(10)) }
        estimate.add(.seconds(60))
        #expect(estimate.limit.map { $0 < .milliseconds(300) } == true)
        for _ in 0..<6 { estimate.add(.seconds(3)) }
        #expect(estimate.limit.map { $0 > .seconds(3) } == true, "slow for good is followed")
    }

    @Test("the book forgets addresses that names no longer have")
    func bounded() {
        var book = AddressBook(seed: 1)
        let now = MonotonicTime(nanoseconds: 1_000_000_000_000)
        for index in 0..<10_000 {
            let target = ConnectTarget(server: 0, address: "10.0.\(index / 250).\(index % 250)")
            book.opened(target, at: now)
            book.ended(target, openedAt: now, isSilent: true)
        }
        #expect(book.count <= AddressBook.capacity)
    }
}
