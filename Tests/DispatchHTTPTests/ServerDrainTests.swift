import DispatchLoop
import Testing

@testable import DispatchHTTP

@Suite("how a server leaves")
struct ServerDrainTests {
    @Test("it is announced once, left once, and over when the last connection has gone")
    func stages() {
        var drain = ServerDrain()
        #expect(!drain.isAnnounced)
        expect(drain.announce(), true)
        expect(drain.announce(), false)
        #expect(drain.isAnnounced && !drain.isLeaving)
        expect(drain.connections(0), false, "it still accepts")
        expect(drain.leave(by: ConnectionStateTests.at(5)), true)
        expect(drain.announce(), false)
        expect(drain.leave(by: ConnectionStateTests.at(3)), false)
        #expect(drain.stage == .leaving(by: ConnectionStateTests.at(3)), "the earlier deadline counts")
        expect(drain.connections(1), false)
        expect(drain.connections(0), true)
        expect(drain.connections(0), false, "it has left already")
        #expect(drain.stage == .left && drain.isLeaving)
        expect(drain.leave(by: ConnectionStateTests.at(9)), false)
        #expect(drain.stage == .left)
    }

    /// `#expect` does not take calls that change something.
    private func expect(
        _ isNews: Bool, _ expected: Bool, _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(isNews == expected, comment, sourceLocation: sourceLocation)
    }

    @Test("it may begin without being announced")
    func unannounced() {
        var drain = ServerDrain()
        expect(drain.leave(by: ConnectionStateTests.at(5)), true)
        #expect(drain.isAnnounced && drain.isLeaving)
    }

    @Test("what becomes of each connection", arguments: ServerDrain.Doing.allCases)
    func verdicts(_ doing: ServerDrain.Doing) {
        var drain = ServerDrain()
        _ = drain.leave(by: ConnectionStateTests.at(5))
        let (start, end): (ServerDrain.Verdict, ServerDrain.Verdict) =
            switch doing {
            case .idle: (.awaitsRequest, .close)
            case .busy: (.goesOn, .force)
            case .streaming: (.cutStream, .force)
            case .streamingBehind: (.abort, .force)
            case .lingering: (.goesOn, .close)
            }
        #expect(drain.verdictAtStart(on: doing) == start)
        let verdict = drain.verdictAtDeadline(on: doing)
        #expect(verdict == end)
        #expect(drain.forced == (end == .force ? 1 : 0), "only who was not done counts")
    }
}
