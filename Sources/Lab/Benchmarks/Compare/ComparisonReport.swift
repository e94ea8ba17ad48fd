package import FaultLab

/// The result of a comparison: medians, ratios, and the promises about speed.
package struct ComparisonReport: Sendable {
    /// The service's name among the targets.
    package static let own = "daruma"

    package let plan: Comparison.Plan
    /// The targets that could not run, with the reason.
    package let missing: [String]
    private let host: HostInfo
    private let order: [String]
    private let medians: [Comparison.Cell: Measurement]

    /// - Parameter order: the targets' names, in the order of the tables.
    package init(
        _ figures: [Comparison.Cell: [Measurement]], order: [String], plan: Comparison.Plan, missing: [String],
        host: HostInfo
    ) {
        self.host = host
        self.plan = plan
        self.missing = missing
        self.order = order + ["pgbench, simple", "pgbench, prepared"]
        medians = figures.compactMapValues(Measurement.median)
    }

    /// One table for each path and number of connections.
    package var tables: [(title: String, table: TextTable)] {
        var tables: [(title: String, table: TextTable)] = []
        for path in ["/", "/ping"] {
            for connections in plan.connections {
                var table = TextTable([
                    "", "requests/s", "×", "p50 ms", "p99 ms", "CPU µs/request", "×", "PostgreSQL CPU µs", "MiB",
                ])
                let own = median(path, connections, Self.own)
                for name in order {
                    let isCeiling = name.hasPrefix("pgbench")
                    // pgbench has as many clients as each target has connections to the database.
                    if isCeiling, connections < Comparison.poolSize { continue }
                    guard let figures = median(path, isCeiling ? Comparison.poolSize : connections, name) else {
                        continue
                    }
                    table.rows.append(row(name, figures, own))
                }
                guard !table.rows.isEmpty else { continue }
                tables.append(("`\(path)`, \(connections) connection\(connections == 1 ? "" : "s")", table))
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

    /// The promises about speed whose targets took part.
    package var checks: [Check] {
        var checks: [Check] = []
        for connections in plan.connections where connections >= 64 {
            let (own, fixed) = (median("/", connections, Self.own), median("/", connections, "nginx"))
            let size = "\(connections) connections"
            compare(&checks, "`/` requests/s by nginx's, \(size)", own, fixed, .atLeast(1), \.requestsPerSecond)
            compare(&checks, "`/` CPU by nginx's, \(size)", own, fixed, .atMost(1), \.processorMicroseconds)
        }
        let own = median("/ping", 64, Self.own)
        let peers = order.filter { $0 != Self.own && !$0.hasPrefix("pgbench") }.compactMap { median("/ping", 64, $0) }
        let best = peers.max { $0.requestsPerSecond < $1.requestsPerSecond }
        let quickest = peers.min { ($0.p99 ?? .infinity) < ($1.p99 ?? .infinity) }
        let smallest = peers.min { ($0.residentMiB ?? .infinity) < ($1.residentMiB ?? .infinity) }
        let ceiling = median("/ping", Comparison.poolSize, "pgbench, prepared")
        compare(
            &checks, "`/ping` requests/s by the fastest peer's", own, best, .atLeast(1.5), \.requestsPerSecond)
        compare(&checks, "`/ping` CPU by that peer's", own, best, .atMost(0.4), \.processorMicroseconds)
        compare(&checks, "`/ping` p99 by the lowest of the peers'", own, quickest, .atMost(1), \.p99)
        compare(&checks, "memory by the smallest peer's", own, smallest, .atMost(1), \.residentMiB)
        compare(
            &checks, "`/ping` requests/s by pgbench's, prepared", own, ceiling, .atLeast(0.65), \.requestsPerSecond)
        return checks
    }

    private func median(_ path: String, _ connections: Int, _ name: String) -> Measurement? {
        medians[Comparison.Cell(path: path, connections: connections, name: name)]
    }

    private func compare(
        _ checks: inout [Check], _ what: String, _ own: Measurement?, _ other: Measurement?, _ limit: Limit,
        _ figure: (Measurement) -> Double?
    ) {
        guard let mine = own.flatMap(figure), let its = other.flatMap(figure), its > 0 else { return }
        checks.append(limit.check(what, mine / its))
    }

    // MARK: Output

    package var markdown: String {
        var text =
            "Medians of \(plan.rounds) rounds of \(plan.seconds) s, the targets in turn; \(host.description).\n\n"
        text += "Each × column compares the column before it with daruma's figure.\n"
        for (title, table) in tables { text += "\n\(title):\n\n\(table.markdown)" }
        for line in missing { text += "\nNot run: \(line)\n" }
        if !checks.isEmpty { text += "\n" + checks.map { "- \($0.isKept ? "✓" : "✗") \($0.text)\n" }.joined() }
        return text
    }

    /// The result for `scripts/results`.
    package var dated: DatedReport {
        DatedReport(name: "benchmarks", title: "Benchmarks", command: "scripts/bench", body: markdown)
    }

    /// One object for each cell.
    package var json: String {
        let cells = medians.sorted {
            ($0.key.path, $0.key.connections, $0.key.name) < ($1.key.path, $1.key.connections, $1.key.name)
        }
        let results = cells.map { cell, median in
            JSONText.object([
                ("path", .text(cell.path)), ("connections", .number(Double(cell.connections))),
                ("name", .text(cell.name)), ("requestsPerSecond", .number(median.requestsPerSecond)),
                ("p50ms", .optional(median.p50)), ("p99ms", .optional(median.p99)),
                ("cpuMicroseconds", .optional(median.processorMicroseconds)),
                ("databaseCpuMicroseconds", .optional(median.databaseMicroseconds)),
                ("residentMiB", .optional(median.residentMiB)), ("failures", .number(Double(median.failures))),
            ])
        }
        let report = JSONText.object([
            ("date", .text(host.date)), ("rounds", .number(Double(plan.rounds))),
            ("seconds", .number(Double(plan.seconds))), ("results", .array(results)),
        ])
        return report.text + "\n"
    }
}
