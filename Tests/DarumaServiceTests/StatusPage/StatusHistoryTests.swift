import DispatchLoop
import PostgresSession
import Testing

@testable import DarumaService
@testable import DispatchPostgres

@Suite struct StatusHistoryTests {
    private let start = MonotonicTime(nanoseconds: 5_000_000_000)
    private var history: StatusHistory

    init() { history = StatusHistory(start: start) }

    private func at(_ milliseconds: Int) -> MonotonicTime { start + .milliseconds(milliseconds) }

    private func outage(since milliseconds: Int, _ code: String = "ECONNREFUSED", attempts: Int = 0) -> Outage {
        let cause = PostgresError(code: code, message: "m", disposition: .outage, endpoint: "db.internal:5432")
        return Outage(since: at(milliseconds), cause: cause, failedAttempts: attempts)
    }

    @Test("a second has its worst state, and the next one starts with the last")
    func worst() {
        var history = history
        history.healthChanged(to: .up, outage: nil, at: at(100))
        history.healthChanged(to: .suspect, outage: outage(since: 1_100), at: at(1_100))
        history.healthChanged(to: .down, outage: outage(since: 1_100), at: at(1_300))
        history.healthChanged(to: .up, outage: outage(since: 1_100), at: at(1_900))
        history.advance(to: at(3_500))
        #expect(history.seconds().map(\.health) == [.suspect, .down, .up, .up])
        #expect(history.seconds().map(\.number) == [0, 1, 2, 3])
    }

    @Test("a second has the number of pings, their failures, the median and the slowest")
    func pings() {
        var history = history
        for milliseconds in Int64(1)...9 {
            history.pinged(afterNanoseconds: milliseconds * 1_000_000, failed: milliseconds > 7, at: at(500))
        }
        history.pinged(afterNanoseconds: 300_000, failed: false, at: at(1_200))
        let seconds = history.seconds()
        #expect(seconds[0].pings == 9)
        #expect(seconds[0].failures == 2)
        #expect(seconds[0].slowest == 9_000)
        #expect((4_700...5_300).contains(seconds[0].median))
        #expect(seconds[1].pings == 1)
        #expect(seconds[1].median <= 300 && seconds[1].median > 270)
    }

    @Test("the history keeps fifteen minutes, however long the service runs")
    func window() {
        var history = history
        history.pinged(afterNanoseconds: 1_000_000, failed: false, at: at(500))
        history.healthChanged(to: .up, outage: nil, at: at(600))
        history.advance(to: at(899_900))
        #expect(history.seconds().count == 900)
        #expect(history.seconds().first?.pings == 1)
        history.advance(to: at(900_000))
        #expect(history.seconds().count == 900)
        #expect(history.seconds().first?.number == 1)
        #expect(history.seconds().allSatisfy { $0.pings == 0 })
        history.healthChanged(to: .down, outage: outage(since: 900_500), at: at(900_500))
        history.advance(to: at(100_000_000))
        #expect(history.seconds().count == 900)
        #expect(history.seconds().allSatisfy { $0.health == .down })
        #expect(history.seconds().last?.number == 100_000)
        #expect(history.seconds(from: 99_998).map(\.number) == [99_998, 99_999, 100_000])
        #expect(history.seconds(from: 100_001).isEmpty)
    }

    @Test("a past outage has its length, its worst state and the cause of the first failed request")
    func outages() {
        var history = history
        history.healthChanged(to: .up, outage: nil, at: at(100))
        history.healthChanged(to: .suspect, outage: outage(since: 2_000), at: at(2_000))
        history.healthChanged(to: .down, outage: outage(since: 2_000, "ECONNREFUSED"), at: at(2_750))
        #expect(history.outageCount == 1)
        #expect(history.outages.isEmpty)
        history.healthChanged(to: .misconfigured, outage: outage(since: 2_000, "28P01"), at: at(3_000))
        history.healthChanged(to: .up, outage: outage(since: 2_000, "57P03", attempts: 7), at: at(5_000))
        #expect(
            history.outages == [
                StatusHistory.PastOutage(
                    since: .seconds(2), length: .seconds(3), health: .down, code: "ECONNREFUSED", message: "m",
                    failedAttempts: 7)
            ])
        #expect(history.outageCount == 1)
        #expect(history.masked.count == 0)
    }

    @Test("an interruption within the grace is masked; the first connect is none")
    func masked() {
        var history = history
        history.healthChanged(to: .up, outage: outage(since: 0), at: at(100))
        #expect(history.masked.count == 0)
        history.healthChanged(to: .suspect, outage: outage(since: 1_000), at: at(1_000))
        history.healthChanged(to: .up, outage: outage(since: 1_000), at: at(1_130))
        #expect(history.masked.count == 1)
        #expect(history.masked.latest?.length == .milliseconds(130))
        #expect(history.outages.isEmpty)
        #expect(history.outageCount == 0)
    }

    @Test("the history keeps the latest outages, newest first")
    func manyOutages() {
        var history = history
        for number in 0..<30 {
            let begin = number * 10_000
            history.healthChanged(to: .down, outage: outage(since: begin, "E\(number)"), at: at(begin))
            history.healthChanged(to: .up, outage: outage(since: begin), at: at(begin + 1_000))
        }
        #expect(history.outages.count == StatusHistory.outagesKept)
        #expect(history.outages.first?.code == "E29")
        #expect(history.outageCount == 30)
    }
}

@Suite struct LatencyHistogramTests {
    @Test("every value is in its bucket, whose width is at most an eighth")
    func buckets() {
        var generator = SystemRandomNumberGenerator()
        let values = Array(0..<2_000) + (0..<2_000).map { _ in Int.random(in: 0..<100_000_000, using: &generator) }
        for value in values {
            let bucket = LatencyHistogram.bucket(of: value)
            let (low, high) = (LatencyHistogram.lowerBound(of: bucket), LatencyHistogram.lowerBound(of: bucket + 1))
            #expect(low <= value && value < high)
            #expect(high - low <= max(1, low / 8))
        }
    }

    @Test("the first and last buckets count all values beyond")
    func bounds() {
        var histogram = LatencyHistogram()
        #expect(histogram.median == 0)
        histogram.add(microseconds: .max)
        histogram.add(microseconds: -1)
        #expect(histogram.total == 2)
    }
}
