import DispatchLoop
import Testing

@testable import DispatchPostgres

@Suite struct LatencyEstimateTests {
    private let millisecond: Int64 = 1_000_000
    private let floor: Int64 = 300_000_000

    private func usual(_ sample: Int64, count: Int = 100) -> LatencyEstimate {
        var estimate = LatencyEstimate()
        for _ in 0..<count { estimate.add(nanoseconds: sample) }
        return estimate
    }

    @Test("without a sample the floor is the limit")
    func empty() {
        #expect(LatencyEstimate().limit(floor: floor) == floor)
    }

    @Test("one answer of a minute does not change the limit", arguments: 0..<10)
    func outlier(position: Int) {
        var estimate = LatencyEstimate()
        for index in 0..<10 { estimate.add(nanoseconds: index == position ? 60_000 * millisecond : millisecond) }
        // A first sample alone sets the estimate; the second corrects it.
        #expect(estimate.limit(floor: floor) == floor)
    }

    @Test("a database that has become slow is recognised after its second answer", arguments: [310, 500, 900])
    func shift(milliseconds: Int64) {
        var estimate = usual(millisecond)
        for _ in 0..<2 { estimate.add(nanoseconds: milliseconds * millisecond) }
        #expect(estimate.limit(floor: floor) > milliseconds * millisecond)
    }

    @Test("a constant latency converges, and an earlier one is forgotten")
    func settles() {
        var estimate = usual(500 * millisecond)
        #expect(estimate.mean == 500 * millisecond)
        #expect(estimate.limit(floor: floor) < 510 * millisecond)
        for _ in 0..<100 { estimate.add(nanoseconds: millisecond) }
        #expect(estimate.limit(floor: floor) == floor)
    }

    @Test("with jitter, few samples exceed the limit", arguments: 0..<20)
    func jitter(seed: UInt64) {
        var random = SplitMix64(seed: seed)
        var estimate = LatencyEstimate()
        var above = 0
        for index in 0..<2_000 {
            let sample = Int64.random(in: 0...900, using: &random) * millisecond
            if index > 20, sample > estimate.limit(floor: floor) { above += 1 }
            estimate.add(nanoseconds: sample)
        }
        #expect(above <= 100, "seed \(seed): \(above) of 2,000")
    }

    @Test("samples are capped at five seconds, and negative ones are ignored")
    func bounds() {
        var estimate = usual(3_600_000 * millisecond)
        #expect(estimate.limit(floor: floor) == LatencyEstimate.ceiling)
        let before = estimate
        estimate.add(nanoseconds: -1)
        #expect(estimate == before)
        #expect(estimate.limit(floor: 60_000 * millisecond) == 60_000 * millisecond, "a larger setting wins")
    }
}

@Suite struct HedgeBudgetTests {
    private func at(_ milliseconds: Int64) -> MonotonicTime { MonotonicTime(nanoseconds: milliseconds * 1_000_000) }

    @Test("one query in twenty of the last ten seconds may be hedged")
    func share() {
        var budget = HedgeBudget()
        for index in 0..<100 { budget.begin(at: at(Int64(index) * 10)) }
        var allowed = 0
        for _ in 0..<10 where budget.take(at: at(1_000)) { allowed += 1 }
        #expect(allowed == 5)
    }

    @Test("queries older than ten seconds do not count")
    func forgets() {
        var budget = HedgeBudget()
        for _ in 0..<100 { budget.begin(at: at(0)) }
        let (early, late) = (budget.allows(at: at(9_999)), budget.allows(at: at(10_000)))
        #expect(early && !late)
        for _ in 0..<19 { budget.begin(at: at(60_000)) }
        let tooFew = budget.allows(at: at(60_000))
        budget.begin(at: at(60_000))
        let (first, second) = (budget.take(at: at(60_000)), budget.take(at: at(60_000)))
        #expect(!tooFew && first && !second)
    }
}
