import Benchmarks
import Testing

@Suite("The gate's figures of a pipeline")
struct BatchTimingTests {
    static let timing = BatchTiming(
        callers: 16,
        batch: RequestCost(instructions: 2_000, allocations: 1, reads: 1, writes: 0, waits: 1, otherCalls: 2),
        checkOut: RequestCost(instructions: 16_000, allocations: 20, reads: 1, writes: 0, waits: 0, otherCalls: 0))
    /// On an idle machine a batch has eight answers, and the pipeline never runs empty.
    static let idle = RequestCost(
        instructions: 20_000, allocations: 7.125, reads: 0.125, writes: 1, waits: 0.125, otherCalls: 0.25)
    let baseline = InstructionBaseline(["pipeline": idle])

    /// The cost with other timing. On a busy machine: a batch and a check-out for sixteen requests.
    static func cost(batches: Double, checkOuts: Double) -> RequestCost {
        var cost = idle
        cost.add(batches - 0.125, of: timing.batch)
        cost.add(checkOuts, of: timing.checkOut)
        return cost
    }

    func compare(_ cost: RequestCost) -> InstructionBaseline.Change {
        baseline.compare("pipeline", Self.timing.normalized(cost))
    }

    static let timings = [(0.125, 0), (0.0625, 0.0625), (0.07, 0.056), (0.086, 0.042), (0.28, 0), (0.5, 0), (1, 0)]

    @Test("are the same for all batches and check-outs that timing makes", arguments: timings)
    func anyTiming(batches: Double, checkOuts: Double) {
        let cost = Self.timing.normalized(Self.cost(batches: batches, checkOuts: checkOuts))
        for column in RequestCost.columns {
            let (expected, actual) = (Self.idle[keyPath: column.path], cost[keyPath: column.path])
            #expect(abs(actual - expected) < 1e-6, "\(column.name) \(actual), expected \(expected)")
        }
    }

    @Test("exceed the baseline without that: a busy machine makes more allocations, a slow server more reads")
    func withoutNormalization() {
        #expect(baseline.compare("pipeline", Self.cost(batches: 0.07, checkOuts: 0.056)).isWorse)
        #expect(baseline.compare("pipeline", Self.cost(batches: 0.28, checkOuts: 0)).isWorse)
    }

    @Test(
        "show one more allocation or system call for each request, under any timing",
        arguments: timings, [1, 2, 3, 4, 5])
    func anotherCall(timing: (Double, Double), column: Int) {
        var cost = Self.cost(batches: timing.0, checkOuts: timing.1)
        cost[keyPath: RequestCost.columns[column].path] += 1
        guard case .worse(_, let figures) = compare(cost) else {
            Issue.record("it was accepted")
            return
        }
        #expect(figures.contains { $0.hasPrefix(RequestCost.columns[column].name) }, "\(figures)")
    }

    @Test("show 6 % more instructions under any timing", arguments: timings)
    func moreInstructions(batches: Double, checkOuts: Double) {
        var cost = Self.cost(batches: batches, checkOuts: checkOuts)
        cost.instructions += 0.06 * Self.idle.instructions
        #expect(compare(cost).isWorse)
    }

    @Test("show a check-out for each request, and more than one batch for each: no timing makes those")
    func beyondTiming() {
        #expect(compare(Self.cost(batches: 0.125, checkOuts: 1)).isWorse)
        #expect(compare(Self.cost(batches: 1.5, checkOuts: 0)).isWorse)
    }
}
