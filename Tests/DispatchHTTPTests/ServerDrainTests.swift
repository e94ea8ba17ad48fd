import DispatchLoop
import Testing

@testable import DispatchHTTP

@Suite("stages of a shutdown")
struct ServerDrainTests {
    private typealias Schedule = ServerDrain.Schedule

    private static func at(_ seconds: Int64) -> MonotonicTime { ConnectionStateTests.at(seconds) }

    @Test("a drain is announced once, begins once, and ends with the last connection")
    func stages() {
        var drain = ServerDrain()
        #expect(!drain.isAnnounced)
        expect(drain.announce(), true)
        expect(drain.announce(), false)
        #expect(drain.isAnnounced && !drain.isLeaving)
        #expect(drain.nextStep == nil, "no drain is scheduled")
        expect(drain.connections(0), false, "the server still accepts")
        drain.drain(from: Self.at(2), by: Self.at(5))
        #expect(drain.nextStep == Self.at(2) && !drain.isLeaving)
        expect(drain.announce(), false)
        expect(drain.connections(0), false, "the server still accepts")
        expect(drain.step(at: Self.at(1)), nil, "the delay is not over")
        expect(drain.step(at: Self.at(2)), .leave)
        expect(drain.step(at: Self.at(2)), nil)
        #expect(drain.nextStep == Self.at(5) && drain.isLeaving)
        expect(drain.connections(1), false)
        expect(drain.connections(0), true)
        expect(drain.connections(0), false, "the shutdown is complete")
        #expect(drain.stage == .left && drain.isLeaving && drain.nextStep == nil)
        drain.drain(from: Self.at(8), by: Self.at(9))
        #expect(drain.stage == .left)
    }

    @Test("forceRest comes once, at the deadline")
    func deadline() {
        var drain = ServerDrain()
        drain.drain(from: Self.at(2), by: Self.at(5))
        // After a long pause of the process both steps are due at once, and come in order.
        expect(drain.step(at: Self.at(7)), .leave)
        expect(drain.step(at: Self.at(7)), .forceRest)
        expect(drain.step(at: Self.at(7)), nil)
        #expect(drain.stage == .left)
        expect(drain.connections(0), false, "forceRest completes the shutdown")
    }

    @Test("of several calls the earliest times count")
    func shortened() {
        var drain = ServerDrain()
        drain.drain(from: Self.at(4), by: Self.at(9))
        drain.drain(from: Self.at(6), by: Self.at(8))
        #expect(drain.stage == .announced(Schedule(start: Self.at(4), deadline: Self.at(8))))
        drain.drain(from: Self.at(1), by: Self.at(20))
        #expect(drain.stage == .announced(Schedule(start: Self.at(1), deadline: Self.at(8))))
        expect(drain.step(at: Self.at(1)), .leave)
        drain.drain(from: Self.at(1), by: Self.at(20))
        #expect(drain.stage == .leaving(by: Self.at(8)))
        drain.drain(from: Self.at(1), by: Self.at(3))
        #expect(drain.stage == .leaving(by: Self.at(3)))
    }

    @Test("a delay beyond the deadline ends with it")
    func delayBeyondDeadline() {
        var drain = ServerDrain()
        drain.drain(from: Self.at(10), by: Self.at(3))
        #expect(drain.nextStep == Self.at(3))
        drain = ServerDrain()
        drain.drain(from: Self.at(5), by: Self.at(9))
        drain.drain(from: Self.at(5), by: Self.at(3))
        #expect(drain.nextStep == Self.at(3))
    }

    /// `#expect` does not accept mutating calls.
    private func expect<Value: Equatable>(
        _ value: Value, _ expected: Value, _ comment: Comment? = nil, sourceLocation: SourceLocation = #_sourceLocation
    ) {
        #expect(value == expected, comment, sourceLocation: sourceLocation)
    }

    @Test("a drain needs no announcement")
    func unannounced() {
        var drain = ServerDrain()
        drain.drain(from: Self.at(0), by: Self.at(5))
        expect(drain.step(at: Self.at(0)), .leave)
        #expect(drain.isAnnounced && drain.isLeaving)
    }

    @Test("the verdicts on each activity", arguments: ServerDrain.Doing.allCases)
    func verdicts(_ doing: ServerDrain.Doing) {
        var drain = ServerDrain()
        drain.drain(from: Self.at(0), by: Self.at(5))
        expect(drain.step(at: Self.at(0)), .leave)
        let (start, end): (ServerDrain.Verdict, ServerDrain.Verdict) =
            switch doing {
            case .idle: (.awaitsRequest, .close)
            case .busy: (.goesOn, .force)
            case .streaming: (.endStream, .force)
            case .streamingBehind: (.abort, .force)
            case .lingering: (.goesOn, .close)
            }
        #expect(drain.verdictAtStart(on: doing) == start)
        #expect(drain.verdictAtDeadline(on: doing) == end)
    }
}
