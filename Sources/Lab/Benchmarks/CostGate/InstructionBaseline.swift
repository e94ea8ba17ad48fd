/// The accepted costs.
package struct InstructionBaseline: Sendable, Equatable {
    /// By the name of the case.
    package var costs: [String: RequestCost] = [:]

    /// The tolerated share of additional instructions, because compilers and libraries differ slightly between
    /// machines.
    package static let tolerance = 0.05
    /// The tolerated number of additional calls or allocations per request, for rare events.
    package static let callTolerance = 0.1
    /// The tolerated share of additional allocations, for requests that make many.
    package static let allocationTolerance = 0.05
    /// The upper bound of that share. The gate never tolerates a whole additional allocation per request.
    private static let allocationCeiling = 0.9

    /// The limit of a column whose baseline is `old`.
    private static func limit(_ column: WritableKeyPath<RequestCost, Double>, over old: Double) -> Double {
        if column == \RequestCost.instructions { return old * (1 + tolerance) }
        if column == \RequestCost.allocations {
            return old + max(callTolerance, min(old * allocationTolerance, allocationCeiling))
        }
        return old + callTolerance
    }

    package init(_ costs: [String: RequestCost]) { self.costs = costs }

    /// Reads the file. Skips malformed lines, so their cases count as new.
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

    /// The file's text. `order` fixes the order of the cases, so that only changed figures change the file.
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

    /// The comparison of a cost with the baseline. Its number is the relative change of the instructions.
    package enum Change: Sendable, Equatable {
        /// The baseline has no such case.
        case new
        /// Within the tolerance.
        case kept(Double)
        /// Below the baseline by more than the tolerance.
        case better(Double)
        /// Above the limit, with the figures that exceed it.
        case worse(Double, [String])

        package var isWorse: Bool { if case .worse = self { true } else { false } }
    }

    package func compare(_ name: String, _ cost: RequestCost) -> Change {
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
