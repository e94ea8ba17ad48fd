import Benchmarks
import Testing

@Suite("The gate's baseline")
struct InstructionBaselineTests {
    static let cost = RequestCost(
        instructions: 8_192, allocations: 0, reads: 1, writes: 1, waits: 1, otherCalls: 0.004)
    let baseline = InstructionBaseline(["/": cost])

    @Test("accepts the same cost, and up to 5 % more")
    func kept() {
        var cost = Self.cost
        cost.instructions = 8_448
        #expect(baseline.compare("/", cost) == .kept(0.03125))
    }

    @Test("rejects more than 5 % more instructions")
    func moreInstructions() {
        var cost = Self.cost
        cost.instructions = 8_700
        guard case .worse(_, let figures) = baseline.compare("/", cost) else {
            Issue.record("it was accepted")
            return
        }
        #expect(figures == ["instructions 8192 → 8700"])
    }

    @Test(
        "rejects one more allocation or system call, whatever the instructions",
        arguments: [1, 2, 3, 4, 5])
    func anotherCall(column: Int) {
        var cost = Self.cost
        cost.instructions = 5_000
        cost[keyPath: RequestCost.columns[column].path] += 1
        guard case .worse(_, let figures) = baseline.compare("/", cost) else {
            Issue.record("it was accepted")
            return
        }
        #expect(figures.count == 1)
        #expect(figures.first?.hasPrefix(RequestCost.columns[column].name) == true)
    }

    @Test(
        "accepts fractions of allocations from batches, and never one more per request",
        arguments: [(10.13, 10.28, true), (10.13, 10.7, false), (0, 0.2, false), (18, 18.9, true), (40, 41, false)])
    func fractions(old: Double, new: Double, isKept: Bool) {
        var (before, after) = (Self.cost, Self.cost)
        before.allocations = old
        after.allocations = new
        let change = InstructionBaseline(["pipeline": before]).compare("pipeline", after)
        #expect((change == .kept(0)) == isKept)
    }

    @Test("reports improvements and new cases")
    func improvements() {
        var cost = Self.cost
        cost.instructions = 7_168
        #expect(baseline.compare("/", cost) == .better(-0.125))
        #expect(baseline.compare("/other", cost) == .new)
    }

    @Test("survives writing and reading")
    func roundTrip() {
        let text = baseline.text(order: ["/"])
        #expect(text.split(separator: "\n").last == "/\t8192\t0\t1\t1\t1\t0")
        var rounded = Self.cost
        rounded.otherCalls = 0
        #expect(InstructionBaseline(parsing: text) == InstructionBaseline(["/": rounded]))
    }
}
