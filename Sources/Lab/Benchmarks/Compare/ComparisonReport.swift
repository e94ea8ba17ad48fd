/// What came of a comparison: medians, ratios, and whether the service is as good as promised.
package struct ComparisonReport: Sendable {
    /// The service's own name among the contenders.
    package static let own = "daruma"

    package let machine: Machine
    package let plan: Comparison.Plan
    /// What could not take part, and why, in a line each.
    package let missing: [String]
    private let order: [String]
    private let medians: [Comparison.Cell: Measurement]

    /// - Parameter order: The contenders' names, in the order in which they are shown.
    package init(
        _ figures: [Comparison.Cell: [Measurement]], order: [String], plan: Comparison.Plan, missing: [String],
        machine: Machine
    ) {
        self.machine = machine
        self.plan = plan
        self.missing = missing
        self.order = order + ["pgbench, simple", "pgbench, prepared"]
        medians = figures.compactMapValues(Measurement.median)
    }

    /// One table per path and number of connections: requests per second with the ratio to the service's own, latency,
    /// processor time with its ratio, memory.
    package var tables: [(title: String, table: TextTable)] {
        var tables: [(title: String, table: TextTable)] = []
        for path in ["/", "/ping"] {
            for connections in plan.connections {
                var table = TextTable([
                    "", "requests/s", "×", "p50 ms", "p99 ms", "CPU µs/request", "×", "PostgreSQL CPU µs", "MiB",
                ])
                let own = medians[Comparison.Cell(path: path, connections: connections, name: Self.own)]
                for name in order {
                    let isCeiling = name.hasPrefix("pgbench")
                    // The ceiling has as many clients as everybody has connections to the database.
                    let clients = isCeiling ? Comparison.poolSize : connections
                    let cell = Comparison.Cell(path: path, connections: clients, name: name)
                    if isCeiling, connections < Comparison.poolSize { continue }
                    guard let median = medians[cell] else { continue }
                    table.rows.append(row(name, median, own))
                }
                guard !table.rows.isEmpty else { continue }
                let word = connections == 1 ? "connection" : "connections"
                tables.append(("`\(path)`, \(connections) \(word)", table))
            }
        }
        return tables
    }

    private func row(_ name: String, _ median: Measurement, _ own: Measurement?) -> [String] {
        let failures = median.failures > 0 ? " (\(median.failures) failed)" : ""
        return [
            name + failures, Figure.grouped(median.requestsPerSecond),
            Figure.ratio(median.requestsPerSecond, own?.requestsPerSecond), Figure.fixed(median.p50, 2),
            Figure.fixed(median.p99, 2), Figure.fixed(median.processorMicroseconds, 1),
            Figure.ratio(median.processorMicroseconds, own?.processorMicroseconds),
            Figure.fixed(median.databaseMicroseconds, 1), Figure.fixed(median.residentMiB, 1),
        ]
    }

    /// What the service promises about its speed, as far as the contenders for it took part.
    package var promises: [(isKept: Bool, text: String)] {
        var promises: [(isKept: Bool, text: String)] = []
        let ping = "/ping"
        for connections in plan.connections where connections >= 64 {
            if let own = median("/", connections, Self.own), let fixed = median("/", connections, "nginx") {
                compare(&promises, "`/` requests/s by nginx's, \(connections) connections", own, fixed, 1, least: true)
                {
                    $0.requestsPerSecond
                }
                compare(&promises, "`/` CPU by nginx's, \(connections) connections", own, fixed, 1) {
                    $0.processorMicroseconds
                }
            }
        }
        guard let own = median(ping, 64, Self.own) else { return promises }
        let peers = order.filter { $0 != Self.own && !$0.hasPrefix("pgbench") }
            .compactMap { median(ping, 64, $0) }
        if let best = peers.max(by: { $0.requestsPerSecond < $1.requestsPerSecond }) {
            compare(&promises, "`/ping` requests/s by the fastest peer's", own, best, 1.5, least: true) {
                $0.requestsPerSecond
            }
            compare(&promises, "`/ping` CPU by that peer's", own, best, 0.4) { $0.processorMicroseconds }
        }
        if let quickest = peers.min(by: { ($0.p99 ?? .infinity) < ($1.p99 ?? .infinity) }) {
            compare(&promises, "`/ping` p99 by the lowest of the peers'", own, quickest, 1) { $0.p99 }
        }
        if let smallest = peers.min(by: { ($0.residentMiB ?? .infinity) < ($1.residentMiB ?? .infinity) }) {
            compare(&promises, "memory by the smallest peer's", own, smallest, 1) { $0.residentMiB }
        }
        if let ceiling = median(ping, Comparison.poolSize, "pgbench, prepared") {
            compare(&promises, "`/ping` requests/s by pgbench's, prepared", own, ceiling, 0.65, least: true) {
                $0.requestsPerSecond
            }
        }
        return promises
    }

    private func median(_ path: String, _ connections: Int, _ name: String) -> Measurement? {
        medians[Comparison.Cell(path: path, connections: connections, name: name)]
    }

    private func compare(
        _ promises: inout [(isKept: Bool, text: String)], _ what: String, _ own: Measurement, _ other: Measurement,
        _ limit: Double, least: Bool = false, _ figure: (Measurement) -> Double?
    ) {
        guard let mine = figure(own), let its = figure(other), its > 0 else { return }
        let share = mine / its
        let isKept = least ? share >= limit : share <= limit
        promises.append(
            (isKept, "\(what): \(Figure.fixed(share, 2)) (\(least ? "at least" : "at most") \(Figure.fixed(limit, 2)))")
        )
    }

    /// For a README or a file.
    package var markdown: String {
        var text = ""
        for (title, table) in tables { text += "\(title):\n\n\(table.markdown)\n" }
        text +=
            "Medians of \(plan.rounds) rounds of \(plan.seconds) s, the contenders in turn; \(machine.description).\n"
        for line in missing { text += "\nNot run: \(line)\n" }
        if !promises.isEmpty { text += "\n" + promises.map { "- \($0.isKept ? "✓" : "✗") \($0.text)\n" }.joined() }
        return text
    }

    /// For programs: one object per cell.
    package var json: String {
        let cells = medians.sorted {
            ($0.key.path, $0.key.connections, $0.key.name) < ($1.key.path, $1.key.connections, $1.key.name)
        }
        let objects = cells.map { cell, median in
            let figures: [(String, Double?)] = [
                ("requestsPerSecond", median.requestsPerSecond), ("p50ms", median.p50), ("p99ms", median.p99),
                ("cpuMicroseconds", median.processorMicroseconds),
                ("databaseCpuMicroseconds", median.databaseMicroseconds), ("residentMiB", median.residentMiB),
                ("failures", Double(median.failures)),
            ]
            let members = figures.map { "\"\($0.0)\": \($0.1.map { "\($0)" } ?? "null")" }.joined(separator: ", ")
            let name = "\"path\": \"\(cell.path)\", \"connections\": \(cell.connections), \"name\": \"\(cell.name)\""
            return "    {\(name), \(members)}"
        }
        return """
            {
              "date": "\(machine.date)", "rounds": \(plan.rounds), "seconds": \(plan.seconds),
              "results": [
            \(objects.joined(separator: ",\n"))
              ]
            }

            """
    }
}

/// Figures as texts, without Foundation's formatters.
package enum Figure {
    /// `1234.567` with two digits is `1234.57`; nil is a dash.
    package static func fixed(_ value: Double?, _ digits: Int) -> String {
        guard let value, value.isFinite else { return "–" }
        let scale = (0..<digits).reduce(1.0) { scale, _ in scale * 10 }
        let scaled = Int((value * scale).rounded())
        guard digits > 0 else { return "\(scaled)" }
        let rest = String(abs(scaled) % Int(scale))
        let sign = scaled < 0 ? "−" : ""
        return "\(sign)\(abs(scaled) / Int(scale))." + String(repeating: "0", count: digits - rest.count) + rest
    }

    /// `142000.4` is `142,000`.
    package static func grouped(_ value: Double) -> String {
        var digits = Array(String(Int(value.rounded())))
        var index = digits.count - 3
        while index > 0 {
            digits.insert(",", at: index)
            index -= 3
        }
        return String(digits)
    }

    /// `value` by `reference`.
    package static func ratio(_ value: Double?, _ reference: Double?) -> String {
        guard let value, let reference, reference > 0 else { return "–" }
        return fixed(value / reference, 2)
    }
}
