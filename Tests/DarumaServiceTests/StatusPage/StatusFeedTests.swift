import DispatchLoop
import DispatchPostgres
import Foundation
import PostgresSession
import Testing

@testable import DarumaService

extension StatusReport {
    /// A report as a test wants it.
    static func made(
        _ health: DatabaseState = .up, cause: Cause? = nil, slots: [SlotState] = [.idle, .free], waiters: Int = 0,
        bridged: Int = 0, answer: Duration? = nil
    ) -> StatusReport {
        StatusReport(
            health: health, since: .seconds(1), cause: cause, slots: slots, waiters: waiters,
            pace: StatusPace(answer: answer, login: answer.map { $0 * 3 }, silence: .milliseconds(300)),
            falls: cause == nil ? 0 : 1,
            rises: 0, bridged: bridged, viewers: 1, hasBeenReached: true)
    }
}

@Suite struct StatusPaceTests {
    @Test("slow is told from down in a word, and from quick")
    func slow() {
        #expect(StatusReport.made(answer: .milliseconds(450)).headline == "The database is slow")
        #expect(StatusReport.made(answer: .milliseconds(450)).note.contains("slow is not down"))
        #expect(StatusReport.made(answer: .milliseconds(3)).headline == "The database is up")
        #expect(StatusReport.made(.down, answer: .milliseconds(450)).headline == "The database is down")
    }

    @Test(
        "the estimates and the limit in force are shown in round figures",
        arguments: [(1, 1), (3, 5), (51, 100), (900, 1_000)])
    func round(milliseconds: Int, shown: Int) {
        let summary = StatusReport.made(answer: .milliseconds(milliseconds)).poolSummary
        #expect(summary.contains("An answer usually takes up to \(shown) ms, a log-in"))
        #expect(summary.hasSuffix("silence is unusual after 300 ms."))
    }
}

extension StatusClock {
    static let made = StatusClock(
        sinceStart: .seconds(65), wallMilliseconds: 1_800_000_000_000, nextAttempt: .milliseconds(120))
}

@Suite struct ServerSentEventTests {
    @Test(
        "each line of the data has its field, whatever ends it, and an empty line ends the event",
        arguments: [
            ("one", "data: one\n"), ("one\ntwo", "data: one\ndata: two\n"), ("one\r\ntwo", "data: one\ndata: two\n"),
            ("one\rtwo", "data: one\ndata: two\n"), ("", "data: \n"), ("\n", "data: \ndata: \n"),
            ("event: x", "data: event: x\n"),
        ])
    func lines(data: String, lines: String) {
        let event = ServerSentEvent(name: "tick", data: Array(data.utf8))
        #expect(String(decoding: event.bytes, as: UTF8.self) == "event: tick\n\(lines)\n")
    }

    @Test("the time to wait before connecting again comes first")
    func retry() {
        let event = ServerSentEvent(name: "snapshot", data: [0x78], retry: 1000)
        #expect(String(decoding: event.bytes, as: UTF8.self) == "retry: 1000\nevent: snapshot\ndata: x\n\n")
    }
}

@Suite struct StatusFeedTests {
    private func object(_ event: ServerSentEvent) throws -> [String: Any] {
        #expect(!event.data.contains(UInt8(ascii: "\n")))
        return try #require(try JSONSerialization.jsonObject(with: Data(event.data)) as? [String: Any])
    }

    @Test("a snapshot holds everything, seconds without news left out")
    func snapshot() throws {
        let start = MonotonicTime(nanoseconds: 0)
        var history = StatusHistory(start: start)
        history.healthChanged(to: .up, outage: nil, at: start + .milliseconds(1_500))
        history.pinged(afterNanoseconds: 2_000_000, failed: true, at: start + .milliseconds(10_500))
        history.advance(to: start + .seconds(65))
        let report = StatusReport.made(slots: [.leased, .idle, .free, .connecting, .closing])
        let event = StatusFeed.snapshot(report, .made, history, boot: "abc")
        #expect(event.name == "snapshot")
        #expect(event.retry != nil)
        let object = try object(event)
        #expect(object["boot"] as? String == "abc")
        #expect(object["now"] as? Int == 65_000)
        #expect(object["health"] as? String == "up")
        #expect(object["cause"] == nil)
        #expect((object["outages"] as? [Any])?.isEmpty ?? false)
        let healths = try #require(object["healths"] as? [String])
        let seconds = try #require(object["seconds"] as? [[Int]])
        #expect(seconds.map { $0[0] } == [0, 2, 10])
        #expect(seconds.map { healths[$0[1]] } == ["suspect", "up", "up"])
        #expect(seconds[2].count == 6 && seconds[2][2] == 1 && seconds[2][3] == 1 && seconds[2][5] == 2_000)
        let names = try #require(object["slotStates"] as? [String])
        let slots = try #require(object["slots"] as? String).compactMap(\.wholeNumberValue).map { names[$0] }
        #expect(slots == ["leased", "idle", "free", "connecting", "closing"])
        let words = try #require(object["slotWords"] as? [String])
        #expect(zip(names, words).first { $0.0 == "leased" }?.1 == "in use")
        #expect(words.count == names.count)
    }

    @Test("a tick brings the seconds since the last one, and the past only when it has changed")
    func tick() throws {
        let start = MonotonicTime(nanoseconds: 0)
        var history = StatusHistory(start: start)
        history.advance(to: start + .seconds(65))
        let cause = StatusReport.Cause(code: "57P03", message: "starting", failedAttempts: 4)
        let report = StatusReport.made(.down, cause: cause)
        let plain = try object(StatusFeed.tick(report, .made, history, from: 64, withPast: false))
        #expect((plain["seconds"] as? [[Int]])?.map { $0[0] } == [64])
        #expect(plain["outages"] == nil)
        #expect(plain["next"] as? Int == 120)
        #expect((plain["cause"] as? [String: Any])?["attempts"] as? Int == 4)
        let full = try object(StatusFeed.tick(report, .made, history, from: 64, withPast: true))
        #expect(full["outages"] != nil)
    }

    @Test("a whole window of pings in a pool of ten thousand is a bounded event")
    func bound() {
        let start = MonotonicTime(nanoseconds: 0)
        var history = StatusHistory(start: start)
        for second in 0..<1_000 {
            for _ in 0..<50 {
                history.pinged(afterNanoseconds: 900_000_000, failed: true, at: start + .seconds(second))
            }
        }
        let report = StatusReport.made(slots: Array(repeating: .leased, count: 10_000))
        #expect(StatusFeed.snapshot(report, .made, history, boot: "abc").bytes.count < 40_000)
    }

    @Test("the pool in a sentence")
    func summary() {
        #expect(
            StatusReport.made(slots: [.leased, .idle, .idle, .free], waiters: 1).poolSummary
                == "3 of 4 connections open, 1 in use, 2 idle; 1 request waits.")
        #expect(StatusReport.made(slots: [.free]).poolSummary == "0 of 1 connections open; no request waits.")
        #expect(
            StatusReport.made(slots: [.idle, .connecting]).poolSummary
                == "1 of 2 connections open, 1 idle, 1 connecting; no request waits.")
    }

    @Test(
        "a setting that cannot be used is not a database that refuses the log-in",
        arguments: [
            (PostgresError.Code.conninfo, "The database setting cannot be used"),
            ("28P01", "The database refuses the log-in"),
        ])
    func misconfigured(code: String, headline: String) {
        let cause = StatusReport.Cause(code: code, message: "", failedAttempts: 1)
        #expect(StatusReport.made(.misconfigured, cause: cause).headline == headline)
    }

    @Test("interruptions that were bridged are told of once the database is up again")
    func bridged() {
        #expect(StatusReport.made().note == "Requests are answered.")
        #expect(StatusReport.made(bridged: 1).note.contains("1 short interruption bridged"))
        #expect(StatusReport.made(bridged: 2).note.contains("2 short interruptions bridged"))
        #expect(!StatusReport.made(.suspect, bridged: 2).note.contains("bridged"))
    }
}
