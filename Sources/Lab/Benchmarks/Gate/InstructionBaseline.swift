/// What everything cost when somebody last said that this is what it may cost.
package struct InstructionBaseline: Sendable, Equatable {
    /// By the name of what was measured.
    package var costs: [String: RequestCost] = [:]

    /// How much more instructions are let through: compilers and libraries differ a little from machine to machine.
    package static let tolerance = 0.05
    /// How many more calls or allocations per request are let through: those of rare events.
    package static let callTolerance = 0.1
    /// How many more allocations are let through where a request makes many, as a share of them. Requests that share a
    /// batch share its allocations, and the machine's timing decides how many share one: the pipeline's 10.13 were 10.28
    /// on another machine.
    package static let allocationTolerance = 0.05
    /// The most that the share may come to. A whole allocation is one of every request, however many they make.
    private static let allocationCeiling = 0.9

    /// How much of a column is let through when it was `old`.
    private static func limit(_ column: WritableKeyPath<RequestCost, Double>, over old: Double) -> Double {
        if column == \RequestCost.instructions { return old * (1 + tolerance) }
        if column == \RequestCost.allocations {
            return old + max(callTolerance, min(old * allocationTolerance, allocationCeiling))
        }
        return old + callTolerance
    }

    package init(_ costs: [String: RequestCost]) { self.costs = costs }

    /// Reads the file; lines that cannot be read are as if they were not there, and what they named counts as new.
    package init(parsing text: String) {
        for line in text.split(separator: "\n") where !line.hasPrefix("#") {
            let cells = line.split(separator: "\t")
            let values = cells.dropFirst().compactMap { Double(String($0)) }
            guard let name = cells.first, values.count == RequestCost.columns.count else { continue }
            var cost = RequestCost(instructions: 0, allocations: 0, reads: 0, writes: 0, waits: 0, otherCalls: 0)
            for (column, value) in zip(RequestCost.columns, values) { cost[keyPath: column.path] = value }
            costs[String(name)] = cost
        }
    }

    /// The file. `order` names what is measured, so that the file changes only where figures do.
    package func text(order: [String]) -> String {
        let heading = """
            # What one request, or one turn of a loop, costs: the baseline of scripts/bench gate, which fails above +5 %.
            # Made by scripts/bench gate --update. Instructions in user space, counted by callgrind.
            # name\t\(RequestCost.columns.map(\.name).joined(separator: "\t"))

            """
        let lines = order.compactMap { name in
            costs[name].map { ([name] + $0.texts).joined(separator: "\t") + "\n" }
        }
        return heading + lines.joined()
    }

    /// What the gate says of a measured cost.
    package enum Check: Sendable, Equatable {
        /// There is nothing to compare with.
        case new
        /// As before, or a little less or more; by this share of the instructions.
        case kept(Double)
        /// Less than before by more than the tolerance: worth keeping.
        case better(Double)
        /// More than is let through; the figures that are.
        case worse(Double, [String])

        package var isWorse: Bool { if case .worse = self { true } else { false } }
    }

    package func verdict(on name: String, _ cost: RequestCost) -> Check {
        guard let before = costs[name] else { return .new }
        let change = before.instructions > 0 ? cost.instructions / before.instructions - 1 : 0
        var worse: [String] = []
        for (index, column) in RequestCost.columns.enumerated() {
            let (old, new) = (before[keyPath: column.path], cost[keyPath: column.path])
            guard new > Self.limit(column.path, over: old) else { continue }
            let texts = [old, new].map { RequestCost.text($0, isInstructions: index == 0) }
            worse.append("\(column.name) \(texts[0]) → \(texts[1])")
        }
        if !worse.isEmpty { return .worse(change, worse) }
        return change < -Self.tolerance ? .better(change) : .kept(change)
    }
}
