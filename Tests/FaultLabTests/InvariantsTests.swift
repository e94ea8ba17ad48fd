import PostgresTestKit
import Testing

@testable import FaultLab

@Suite("The limit for the p99 of /")
struct InvariantsTests {
    @Test(
        "is 5 ms plus the scheduler's latency, or 1.5 times the undisturbed p99",
        arguments: [
            (1, 0, 5_000), (1, 5_100, 10_100), (1, -100, 5_000), (4_000, 0, 6_000), (4_000, 5_000, 10_000),
            (20_000, 5_000, 30_000),
        ])
    func limit(quiet: Int, latency: Int, limit: Int) {
        let result = Invariants().rootLimit(quiet: .microseconds(quiet), latency: .microseconds(latency))
        #expect(result == .microseconds(limit))
    }

    @Test(
        "is exceeded only by more than the scheduler's latency, and the check prints it",
        arguments: [(0, false), (2, true)])
    func check(latency: Int, isKept: Bool) throws {
        let zero = ContinuousClock.now
        func exchange(at begin: Int, took: Int) -> HTTPExchange {
            HTTPExchange(
                path: "/", begin: zero + .milliseconds(begin), latency: .milliseconds(took),
                outcome: .answered(status: 200, body: ""))
        }
        let moments = OutageFigures.Moments(
            begin: zero + .milliseconds(100), endBegins: zero + .milliseconds(500),
            loginsWork: zero + .milliseconds(600))
        let root = [exchange(at: 0, took: 1), exchange(at: 200, took: 7)]
        let figures = OutageFigures(root: root, ping: [], moments)
        let check = try #require(
            Invariants().checks(
                figures, schedulerLatency: .milliseconds(latency), peakConnections: nil, nil, nil
            ).first)
        #expect(check.isKept == isKept)
        #expect(check.text.contains("5 ms and the scheduler's latency of \(latency) ms"))
    }
}
