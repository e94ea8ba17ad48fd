import DispatchLoop
import Testing

@testable import PostgresSession

/// A race to servers of which one is frozen: its machine goes on accepting, and it sends nothing.
@Suite struct ConnectRaceFrozenTests {
    /// A leader that is frozen, so that its machine accepts, and two standbys.
    private static let frozenLeader: [String: RaceHarness.Behaviour] = [
        "10.0.0.1": .silent, "10.0.0.2": .says(RaceHarness.wrongRole), "10.0.0.3": .says(RaceHarness.wrongRole),
    ]
    private static let cluster = ["10.0.0.1", "10.0.0.2", "10.0.0.3"]

    /// A race to the cluster whose leader was found mute by an attempt that waits for it still.
    private static func raceBesideFrozenLeader() -> RaceHarness {
        var race = RaceHarness(frozenLeader)
        let leader = ConnectTarget(server: 0, address: "10.0.0.1")
        race.book.opened(leader, at: race.now)
        race.book.accepted(leader, openedAt: race.now, at: race.now)
        race.book.fellSilent(leader)
        return race
    }

    @Test("a server that accepts and sends nothing for a second is mute, and goes last until it sends something")
    func mute() {
        var race = RaceHarness(["10.0.0.1": .lives(), "10.0.0.2": .lives()])
        race.extra = 2
        #expect(race.run(Self.cluster) == .won("10.0.0.1"))
        race.world = Self.frozenLeader
        race.login = .milliseconds(1_500)
        #expect(race.run(Self.cluster) == .failed("WRONG_ROLE"))
        #expect(race.book.isMute(ConnectTarget(server: 0, address: "10.0.0.1")))
        race.now = race.now + .milliseconds(1_100)
        #expect(race.run(Self.cluster) == .failed("WRONG_ROLE"))
        #expect(race.order == ["10.0.0.2", "10.0.0.3", "10.0.0.1"])
        race.now = race.now + .milliseconds(1_100)
        race.world["10.0.0.1"] = .lives()
        #expect(race.run(Self.cluster) == .won("10.0.0.1"))
        #expect(race.run(Self.cluster) == .won("10.0.0.1"))
        #expect(race.order == ["10.0.0.1"])
    }

    @Test("beside servers that answer, a mute one is tried once a second, and only its oldest connect waits")
    func muteBesideOthers() {
        var race = Self.raceBesideFrozenLeader()
        race.now = race.now + .milliseconds(500)
        #expect(race.run(Self.cluster) == .failed("WRONG_ROLE"))
        #expect(race.order == ["10.0.0.2", "10.0.0.3"])
        #expect(race.took < .milliseconds(10))
        race.now = race.now + .milliseconds(600)
        #expect(race.run(Self.cluster) == .failed("WRONG_ROLE"))
        #expect(race.order == ["10.0.0.2", "10.0.0.3", "10.0.0.1"])
        #expect(race.took >= .seconds(1) && race.took < .milliseconds(1_300), "\(race.took)")
    }

    @Test("a standby that was promoted wins at once while the old leader is mute")
    func promotedBesideMute() {
        var race = Self.raceBesideFrozenLeader()
        for promoted in ["10.0.0.2", "10.0.0.3"] {
            race.world = Self.frozenLeader
            race.world[promoted] = .lives()
            #expect(race.run(Self.cluster) == .won(promoted))
            #expect(race.took < .milliseconds(10))
            #expect(!race.order.contains("10.0.0.1"))
        }
    }

    @Test("the oldest connect to a mute server waits for the whole login, which may be slow")
    func slowLoginBesideOthers() {
        var race = RaceHarness(Self.frozenLeader)
        race.world["10.0.0.1"] = .lives(login: .seconds(7))
        race.extra = 2
        #expect(race.run(Self.cluster) == .won("10.0.0.1"))
        #expect(race.took == .milliseconds(7_001))
    }

    @Test("prefer-standby tries another standby beside a frozen one, and a primary only after a full turn")
    func standbyBesideFrozen() {
        var race = RaceHarness(["10.0.0.1": .silent, "10.0.0.2": .primary, "10.0.0.3": .standby])
        race.extra = 3
        race.prefersStandby = true
        #expect(race.run(Self.cluster) == .won("10.0.0.3"))
        #expect(race.took < .milliseconds(600), "\(race.took)")
        var slow = RaceHarness(["10.0.0.1": .lives(login: .milliseconds(900)), "10.0.0.2": .primary])
        slow.extra = 3
        slow.prefersStandby = true
        #expect(slow.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.1"), "its turn was not over")
        var frozen = RaceHarness(["10.0.0.1": .silent, "10.0.0.2": .primary])
        frozen.extra = 3
        frozen.prefersStandby = true
        #expect(frozen.run(["10.0.0.1", "10.0.0.2"]) == .won("10.0.0.2"))
        #expect(frozen.took > .seconds(1) && frozen.took < .milliseconds(1_300), "\(frozen.took)")
    }
}
