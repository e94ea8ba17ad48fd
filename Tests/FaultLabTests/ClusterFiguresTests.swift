import Testing

@testable import FaultLab
@testable import PostgresTestKit

@Suite("The figures of a cluster's fault")
struct ClusterFiguresTests {
    private static let zero = ContinuousClock.now

    private static func at(_ milliseconds: Int) -> ContinuousClock.Instant { zero + .milliseconds(milliseconds) }

    private static func exchanges(
        _ path: String, _ range: StrideTo<Int>, good: (Int) -> Bool
    ) -> [HTTPExchange] {
        range.map { time in
            HTTPExchange(
                path: path, begin: at(time), latency: .milliseconds(1),
                outcome: .answered(status: good(time) ? 200 : 503, body: ""))
        }
    }

    /// The leader is lost at 1 s, another takes writes at 6 s, `/ping` is good again at 6.1 s.
    private static func figures(
        wantsStandby: Bool = false, ping: @escaping (Int) -> Bool = { $0 < 1_000 || $0 >= 6_100 },
        primary: @escaping (Int) -> Bool = { $0 < 1_500 || $0 >= 6_100 },
        replica: @escaping (Int) -> Bool = { _ in false }
    ) -> ClusterFigures {
        let times = stride(from: 0, to: 10_000, by: 20)
        return ClusterFigures(
            root: exchanges("/", times) { _ in true }, ping: exchanges("/ping", times, good: ping),
            primary: exchanges("/primary", times, good: primary), replica: exchanges("/replica", times, good: replica),
            .init(begin: at(500), lost: at(1_000), back: at(6_000), writes: at(6_000), end: at(9_500)),
            wantsStandby: wantsStandby)
    }

    @Test("count what failed, and measure the return from the first server that takes writes")
    func order() {
        let figures = Self.figures()
        #expect(figures.rootFailing == 0)
        #expect(figures.pingFailing == 255)
        #expect(figures.recovery == .milliseconds(101))
        #expect(figures.failingAfter.isEmpty)
        #expect(figures.wrongRoles == 0)
        #expect(figures.falsePrimaries == 0)
    }

    @Test("show a relapse, a primary that was lost, and a role that stayed wrong")
    func breaches() {
        #expect(Self.figures(ping: { $0 < 1_000 || $0 >= 6_000 && $0 != 7_000 }).failingAfter.count == 1)
        #expect(Self.figures(ping: { $0 < 1_000 }).recovery == nil)
        // Known three seconds after the loss.
        #expect(Self.figures(primary: { _ in true }).falsePrimaries == 100)
        #expect(Self.figures(replica: { $0 > 9_000 }).wrongRoles > 0)
        let standby = Self.figures(
            wantsStandby: true, ping: { _ in true }, primary: { _ in false }, replica: { _ in true })
        #expect(standby.wrongRoles == 0)
        #expect(standby.falsePrimaries == 0)
        #expect(standby.recovery == .zero || standby.recovery == .milliseconds(1))
        #expect(Self.figures(wantsStandby: true, primary: { _ in true }).wrongRoles > 0)
    }

    @Test("a server's record tells since when it takes writes, and how long sessions of the wrong role stayed")
    func record() {
        var record = RoleRecord()
        for (time, role) in [(0, RoleRecord.Role.writable), (10, .writable), (1_000, .away), (1_500, .readOnly)] {
            record.note(role, at: Self.at(time))
        }
        #expect(record.changes.count == 3)
        #expect(record.role(at: Self.at(1_200)) == .away)
        #expect(record.first(.readOnly, after: Self.at(500)) == Self.at(1_500))
        #expect(record.first(.writable, after: Self.at(500)) == nil)
        for (time, sessions) in [(900, 3), (1_600, 1), (1_700, 0), (1_800, 2), (1_900, 2), (2_100, 1), (2_200, 0)] {
            record.counts.append(.init(at: Self.at(time), application: "a", sessions: sessions))
        }
        func longest(_ role: RoleRecord.Role) -> Duration {
            record.longest("a", on: role, from: Self.at(0), to: Self.at(5_000))
        }
        #expect(longest(.readOnly) == .milliseconds(300), "one that was seen once is a login that was given up")
        #expect(longest(.writable) == .zero)
        #expect(record.longest("b", on: .readOnly, from: Self.at(0), to: Self.at(5_000)) == .zero)
    }

    @Test("connects are counted by the kernel's table, and rated over any second")
    func connects() {
        let table = """
            Ip: Forwarding DefaultTTL
            Ip: 1 64
            Tcp: RtoAlgorithm RtoMin RtoMax MaxConn ActiveOpens PassiveOpens
            Tcp: 1 200 120000 -1 17 0
            """
        #expect(ConnectRate.connects(in: table) == 17)
        #expect(ConnectRate.connects(in: "") == nil)
        let samples = [(0, 0), (500, 3), (1_000, 5), (1_400, 12), (1_600, 12), (3_000, 12)].map {
            (at: Self.at($0.0), count: $0.1)
        }
        #expect(ConnectRate.most(in: samples) == 9)
        #expect(ConnectRate.most(in: []) == 0)
    }

    @Test("the protocol's messages are read whole, and cut")
    func messages() {
        let row = [UInt8(ascii: "D")] + ServerSession.sized([0, 2, 0, 0, 0, 1, 102, 255, 255, 255, 255])
        var bytes = row + [UInt8(ascii: "Z"), 0, 0]
        let message = ServerSession.takeMessage(&bytes)
        #expect(message?.type == UInt8(ascii: "D"))
        #expect(message.map { ServerSession.values(inRow: $0.body) } == ["f", ""])
        #expect(ServerSession.takeMessage(&bytes) == nil, "the rest has not arrived")
        #expect(bytes.count == 3)
    }

    @Test("HAProxy's table tells which servers are up")
    func proxy() {
        let table = """
            # pxname,svname,qcur,status,weight
            primary,node1,0,UP,1
            primary,node2,0,DOWN 1/2,1
            primary,node3,0,UP 1/3,1
            """
        #expect(ClusterProxy.serversUp(in: table) == ["node1", "node3"])
        #expect(ClusterProxy.serversUp(in: "") == [])
    }
}
