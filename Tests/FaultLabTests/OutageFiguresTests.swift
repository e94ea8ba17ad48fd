import Dispatch
import Synchronization
import Testing

@testable import FaultLab
@testable import PostgresTestKit

@Suite("The figures of an outage")
struct OutageFiguresTests {
    private static let zero = ContinuousClock.now

    /// An exchange with its start and duration in milliseconds.
    private static func exchange(
        _ path: String, at: Int, took: Int, _ status: Int?, _ code: String = ""
    ) -> HTTPExchange {
        let body = code.isEmpty ? "" : "{\"error\": {\"code\": \"\(code)\"}}"
        return HTTPExchange(
            path: path, begin: zero + .milliseconds(at), latency: .milliseconds(took),
            outcome: status.map { .answered(status: $0, body: body) } ?? .failed("timed out"))
    }

    /// The fault begins at 100 ms and ends at 1000 ms; logins work at 1040 ms.
    private static let moments = OutageFigures.Moments(
        begin: zero + .milliseconds(100), endBegins: zero + .milliseconds(1000),
        loginsWork: zero + .milliseconds(1040))

    private static let root = (0..<120).map { exchange("/", at: $0 * 10, took: 1, 200) }

    @Test("of a correct service keep every promise")
    func goodOrder() {
        let ping = [
            Self.exchange("/ping", at: 50, took: 1, 200), Self.exchange("/ping", at: 110, took: 700, 400, "57P01"),
            Self.exchange("/ping", at: 820, took: 2, 400, "57P01"),
            Self.exchange("/ping", at: 840, took: 4, 400, "refused"),
            Self.exchange("/ping", at: 1030, took: 25, 200), Self.exchange("/ping", at: 1060, took: 1, 200),
        ]
        let figures = OutageFigures(root: Self.root, ping: ping, Self.moments)
        #expect(figures.rootFailing == 0)
        #expect(figures.pingCount == 5)
        #expect(figures.pingFailing == 3)
        #expect(figures.firstFailing == .milliseconds(700))
        #expect(figures.codes == ["57P01", "refused"])
        #expect(figures.knownDownCount == 2)
        #expect(figures.knownDownWorst == .milliseconds(4))
        #expect(figures.recovery == .milliseconds(15))
        #expect(figures.failingAfterRecovery == 0)
        #expect(Check.all(for: Fault.stop.expectation, figures).allSatisfy { $0.isKept })
    }

    @Test(
        "show each broken promise",
        arguments: [
            // The first failing answer comes after the grace.
            [exchange("/ping", at: 110, took: 900, 400), exchange("/ping", at: 1050, took: 1, 200)],
            // An answer is slow although the outage is known.
            [
                exchange("/ping", at: 110, took: 100, 400), exchange("/ping", at: 220, took: 300, 400),
                exchange("/ping", at: 1050, took: 1, 200),
            ],
            // The recovery is late.
            [exchange("/ping", at: 110, took: 100, 400), exchange("/ping", at: 1200, took: 1, 200)],
            // There is no recovery.
            [exchange("/ping", at: 110, took: 100, 400)],
            // A request fails after the recovery.
            [
                exchange("/ping", at: 110, took: 100, 400), exchange("/ping", at: 1050, took: 1, 200),
                exchange("/ping", at: 1060, took: 1, 400),
            ],
            // A request gets no answer.
            [
                exchange("/ping", at: 110, took: 100, 400), exchange("/ping", at: 230, took: 4, nil),
                exchange("/ping", at: 1050, took: 1, 200),
            ],
            // No request fails.
            [exchange("/ping", at: 110, took: 1, 200), exchange("/ping", at: 1050, took: 1, 200)],
        ])
    func brokenPromises(_ ping: [HTTPExchange]) {
        let figures = OutageFigures(root: Self.root, ping: ping, Self.moments)
        #expect(Check.all(for: Fault.stop.expectation, figures).count { !$0.isKept } == 1)
    }

    @Test("count a failing / during the fault, and not before it")
    func failingRoot() {
        let ping = [Self.exchange("/ping", at: 110, took: 1, 200), Self.exchange("/ping", at: 1050, took: 1, 200)]
        let early = OutageFigures(root: Self.root + [Self.exchange("/", at: 5, took: 1, 500)], ping: ping, Self.moments)
        #expect(Check.all(for: .unseen, early).allSatisfy { $0.isKept })
        let late = [Self.exchange("/", at: 150, took: 1, nil)]
        let during = OutageFigures(root: Self.root + late, ping: ping, Self.moments)
        #expect(Check.all(for: .unseen, during).map(\.isKept) == [false, true, true])
    }

    @Test("without exchanges keep no promise")
    func nothing() {
        let figures = OutageFigures(root: [], ping: [], Self.moments)
        #expect(!Check.all(for: .unseen, figures).allSatisfy { $0.isKept })
    }

    @Test("mention a busy machine only with a broken promise of time")
    func busyMachine() {
        let busy = HostInfo(load: 7.2, processors: 2)
        let late = Check(isKept: false, isTiming: true, text: "late")
        #expect(late.text(on: busy) == "late – the machine is busy: load 7.2 on 2 processors")
        #expect(late.text(on: HostInfo(load: 2, processors: 2)) == "late")
        #expect(Check(isKept: true, isTiming: true, text: "soon").text(on: busy) == "soon")
        #expect(Check(isKept: false, text: "lost").text(on: busy) == "lost")
        #expect(HostInfo.current.processors > 0)
    }

    @Test("use nearest-rank percentiles")
    func percentiles() {
        let durations = (1...100).map { Duration.milliseconds($0) }
        #expect(durations.shuffled().percentile(99) == .milliseconds(99))
        #expect(durations.percentile(50) == .milliseconds(50))
        #expect(durations.percentile(100) == .milliseconds(100))
        #expect([Duration.milliseconds(7)].percentile(99) == .milliseconds(7))
        #expect([Duration]().percentile(99) == .zero)
    }

    @Test(
        "round durations for people",
        arguments: [(420, "0.42 ms"), (12_345, "12 ms"), (999_600, "1000 ms"), (3_210_000, "3.2 s"), (2_000, "2 ms")])
    func shown(_ microseconds: Int, _ text: String) {
        #expect(Duration.microseconds(microseconds).shown == text)
    }

    @Test("of a timeline: a wait for exchanges in flight ignores later ones")
    func underWay() async throws {
        let timeline = Timeline()
        let (begun, finish) = (DispatchSemaphore(value: 0), DispatchSemaphore(value: 0))
        async let first: Void = offCooperativeThreads {
            timeline.record(on: "/ping") {
                begun.signal()
                finish.wait()
                return Self.exchange("/ping", at: 0, took: 1, 200)
            }
        }
        await offCooperativeThreads { begun.wait() }
        let waited = try await ContinuousClock().measure {
            try await timeline.waitForExchangesInFlight(on: "/ping", within: .milliseconds(50))
        }
        #expect(waited >= .milliseconds(50) && timeline.count == 0, "the exchange runs, and the limit has passed")
        async let waiting: Void = timeline.waitForExchangesInFlight(on: "/ping", within: .seconds(20))
        finish.signal()
        try await waiting
        #expect(timeline.count == 1)
        await first
    }

    @Test("of a timeline: the watcher gets only changes on each path")
    func changes() {
        let seen = EventCounter()
        let timeline = Timeline { _ in seen.count() }
        for status in [200, 200, 400, 400, 200] { timeline.record(Self.exchange("/ping", at: 0, took: 1, status)) }
        timeline.record(Self.exchange("/", at: 0, took: 1, 200))
        #expect(seen.value == 4)
        timeline.mark("stopped")
        #expect(seen.value == 5)
        #expect(timeline.exchanges(on: "/ping").count == 5)
    }
}

private final class EventCounter: Sendable {
    private let events = Atomic(0)

    var value: Int { events.load(ordering: .relaxed) }

    func count() { events.add(1, ordering: .relaxed) }
}
