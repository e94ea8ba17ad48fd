import DispatchLoop
import DispatchPostgres
import Foundation
import PostgresSession
import Testing

@testable import DarumaService

extension StatusReport {
    /// A report for a test.
    static func made(
        _ health: DatabaseState = .up, cause: Cause? = nil, slots: [SlotState] = [.idle, .free], waiters: Int = 0,
        masked: Int = 0, answer: Duration? = nil, target: SessionTarget = .any
    ) -> StatusReport {
        StatusReport(
            health: health, target: target, since: .seconds(1), cause: cause, slots: slots, waiters: waiters,
            pace: StatusPace(answer: answer, login: answer.map { $0 * 3 }, silence: .milliseconds(300)),
            outageCount: cause == nil ? 0 : 1, recoveryCount: 0, maskedInterruptions: masked, viewers: 1,
            hasBeenUp: true)
    }
}

@Suite struct StatusPaceTests {
    @Test("the headline tells a slow database from a fast one and from one that is down")
    func slow() {
        #expect(StatusReport.made(answer: .milliseconds(450)).headline == "The database is slow")
        #expect(StatusReport.made(answer: .milliseconds(450)).note.contains("slow is not down"))
        #expect(StatusReport.made(answer: .milliseconds(3)).headline == "The database is up")
        #expect(StatusReport.made(.down, answer: .milliseconds(450)).headline == "The database is down")
    }

    @Test(
        "the summary shows the estimates and the current limit in round figures",
        arguments: [(1, 1), (3, 5), (51, 100), (900, 1_000)])
    func round(milliseconds: Int, shown: Int) {
        let summary = StatusReport.made(answer: .milliseconds(milliseconds)).poolSummary
        #expect(summary.contains("An answer usually takes up to \(shown) ms, a login"))
        #expect(summary.hasSuffix("silence is unusual after 300 ms."))
    }
}

extension StatusClock {
    static let made = StatusClock(
        sinceStart: .seconds(65), wallMilliseconds: 1_800_000_000_000, nextAttempt: .milliseconds(120))
}

@Suite struct ServerSentEventTests {
    @Test(
        "no line break in the data ends its line, and an empty line ends the event",
        arguments: [
            ("one", "one"), ("one\ntwo", #"one\ntwo"#), ("one\r\ntwo", #"one\r\ntwo"#), ("one\rtwo", #"one\rtwo"#),
            ("", ""),
            ("\n", #"\n"#), ("event: x", "event: x"),
        ])
    func lines(text: String, data: String) {
        let event = ServerSentEvent(name: "tick", data: .array([.string(text), .object([("a", .null)])]))
        #expect(
            String(decoding: event.bytes, as: UTF8.self) == "event: tick\ndata: [\"\(data)\",{\"a\":null}]\n\n")
    }

    @Test("the retry time comes first")
    func retry() {
        let event = ServerSentEvent(name: "snapshot", data: .integer(7), retry: 1000)
        #expect(String(decoding: event.bytes, as: UTF8.self) == "retry: 1000\nevent: snapshot\ndata: 7\n\n")
    }
}

@Suite struct StatusFeedTests {
    private func object(_ event: ServerSentEvent) throws -> [String: Any] {
        let data = event.data.bytes(isCompact: true)
        #expect(!data.contains(UInt8(ascii: "\n")))
        return try #require(try JSONSerialization.jsonObject(with: Data(data)) as? [String: Any])
    }

    @Test("a snapshot holds everything except seconds without news")
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

    @Test("a tick holds the seconds since the last one, and past outages only after a change")
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

    @Test("the size of an event is bounded")
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

    @Test("the summary of the pool")
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
        "an invalid setting and a rejected login have different headlines",
        arguments: [
            (PostgresError.Code.conninfo, "The database setting is invalid"),
            ("28P01", "The database rejects our login"),
        ])
    func misconfigured(code: String, headline: String) {
        let cause = StatusReport.Cause(code: code, message: "", failedAttempts: 1)
        #expect(StatusReport.made(.misconfigured, cause: cause).headline == headline)
    }

    @Test("the note counts masked interruptions while the database is up")
    func masked() {
        #expect(StatusReport.made().note == "Requests are served.")
        #expect(StatusReport.made(masked: 1).note.contains("1 short interruption masked"))
        #expect(StatusReport.made(masked: 2).note.contains("2 short interruptions masked"))
        #expect(!StatusReport.made(.suspect, masked: 2).note.contains("masked"))
    }

    @Test("a wrong role is named for what answers and what is looked for")
    func wrongRole() {
        var words: Set<String> = []
        for target in SessionTarget.allCases {
            let report = StatusReport.made(.readOnly, target: target)
            words.insert(report.headline)
            #expect(report.headline.lowercased() == DatabaseSummary(.readOnly, target: target).text)
            #expect(report.note.contains("searches for"))
        }
        #expect(words.count >= 5)
        let report = StatusReport.made(.readOnly, target: .readOnly)
        #expect(report.headline == "Only servers that accept writes answer")
        #expect(report.note == "The pool searches for a read-only one.")
    }

    @Test("log, systemd and status page share the words for each state", arguments: DatabaseState.allCases)
    func words(state: DatabaseState) {
        let summary = DatabaseSummary(state)
        let report = StatusReport.made(state)
        #expect(report.headline.lowercased() == summary.text.lowercased())
        #expect(report.note.lowercased() == summary.consequence.lowercased() + ".")
    }
}
