import Benchmarks
import Testing

@Suite("the gate's baseline")
struct InstructionBaselineTests {
    static let cost = RequestCost(
        instructions: 8_192, allocations: 0, reads: 1, writes: 1, waits: 1, otherCalls: 0.004)
    let baseline = InstructionBaseline(["/": cost])

    @Test("lets through what costs as much, and a twentieth more")
    func kept() {
        var cost = Self.cost
        cost.instructions = 8_448
        #expect(baseline.verdict(on: "/", cost) == .kept(0.03125))
    }

    @Test("refuses more than a twentieth more instructions")
    func dearer() {
        var cost = Self.cost
        cost.instructions = 8_700
        guard case .worse(_, let figures) = baseline.verdict(on: "/", cost) else {
            Issue.record("it was let through")
            return
        }
        #expect(figures == ["instructions 8192 → 8700"])
    }

    @Test(
        "refuses an allocation or a system call more, however few instructions it takes",
        arguments: [1, 2, 3, 4, 5])
    func anotherCall(column: Int) {
        var cost = Self.cost
        cost.instructions = 5_000
        cost[keyPath: RequestCost.columns[column].path] += 1
        guard case .worse(_, let figures) = baseline.verdict(on: "/", cost) else {
            Issue.record("it was let through")
            return
        }
        #expect(figures.count == 1)
        #expect(figures.first?.hasPrefix(RequestCost.columns[column].name) == true)
    }

    @Test(
        "lets through what batches make of allocations, and never one more in each request",
        arguments: [(10.13, 10.28, true), (10.13, 10.7, false), (0, 0.2, false), (18, 18.9, true), (40, 41, false)])
    func fractions(old: Double, new: Double, isKept: Bool) {
        var (before, after) = (Self.cost, Self.cost)
        before.allocations = old
        after.allocations = new
        let verdict = InstructionBaseline(["pipeline": before]).verdict(on: "pipeline", after)
        #expect((verdict == .kept(0)) == isKept)
    }

    @Test("says when something has become cheaper, and when it is new")
    func cheaper() {
        var cost = Self.cost
        cost.instructions = 7_168
        #expect(baseline.verdict(on: "/", cost) == .better(-0.125))
        #expect(baseline.verdict(on: "/other", cost) == .new)
    }

    @Test("is read as it was written")
    func roundTrip() {
        let text = baseline.text(order: ["/"])
        #expect(text.split(separator: "\n").last == "/\t8192\t0\t1\t1\t1\t0")
        var rounded = Self.cost
        rounded.otherCalls = 0
        #expect(InstructionBaseline(parsing: text) == InstructionBaseline(["/": rounded]))
    }
}
