import ArgumentParser
import Benchmarks
import FaultLab
import PostgresTestKit

/// Compares instructions, allocations and system calls per request with the committed baseline.
struct CostGateCommand: LabCommand {
    static let configuration = CommandConfiguration(
        commandName: "gate",
        abstract: "Counts the cost of a request with callgrind, and fails if it exceeds the baseline.",
        discussion: """
            The counts do not depend on the machine's load. Each case runs twice, with few and with many turns; the \
            difference, divided, is the cost of one turn. Exit status 1: a cost exceeds the baseline.
            """)

    @Option(help: "The baseline's file.")
    var baseline: String

    @Flag(help: "Write the measured costs to the baseline instead of comparing.")
    var update = false

    @Option(help: ArgumentHelp("Only these cases, separated by commas.", valueName: "cases"))
    var only: String?

    @Option(help: "Print this many of the most expensive functions of each case (pipe through `swift demangle`).")
    var top = 0

    /// How often a case that exceeds the baseline is measured again: a busy machine causes rare events, a real regression
    /// shows each time.
    private static let furtherTries = 2

    func perform() async throws {
        let known = InstructionBaseline(parsing: Files.read(baseline) ?? "")
        var measured = known
        var table = TextTable(["per request"] + RequestCost.columns.map(\.name) + ["", "baseline"])
        var regressions: [String] = []
        var improvements: [String] = []
        var hottest: [String] = []
        try await withDatabase { url in
            for item in try cases() {
                var (cost, few, many) = try await measure(item, url)
                for _ in 0..<Self.furtherTries where known.compare(item.rawValue, cost).isWorse {
                    (cost, few, many) = try await measure(item, url)
                }
                measured.costs[item.rawValue] = cost
                let before = known.costs[item.rawValue]?.texts[0] ?? "–"
                var mark = ""
                switch known.compare(item.rawValue, cost) {
                case .new: mark = "new"
                case .kept(let change): mark = Self.percent(change)
                case .better(let change):
                    mark = Self.percent(change)
                    improvements.append("\(item.rawValue) \(mark)")
                case .worse(let change, let figures):
                    mark = "\(Self.percent(change)) TOO MUCH"
                    regressions.append("\(item.rawValue): \(figures.joined(separator: ", "))")
                }
                table.rows.append([item.rawValue] + cost.texts + [mark, before])
                hottest += top > 0 ? hot(item, few, many) : []
            }
        }
        for line in table.lines + hottest { Terminal.print(line) }
        if update {
            try Files.write(measured.text(order: CostGateCase.allCases.map(\.rawValue)), to: baseline, mode: 0o644)
            return Terminal.print("written to the baseline: \(baseline)")
        }
        if !improvements.isEmpty {
            Terminal.print("below the baseline: \(improvements.joined(separator: ", ")). To record it:")
            Terminal.print("  scripts/bench gate --update")
        }
        guard regressions.isEmpty else {
            for line in regressions { Terminal.print("above the baseline: \(line)") }
            Terminal.print("If that is intended, record it:")
            Terminal.print("  scripts/bench gate --update")
            throw LabExit.brokenPromise
        }
    }

    private func cases() throws -> [CostGateCase] {
        guard let only else { return CostGateCase.allCases }
        return try only.split(separator: ",").map { name in
            guard let item = CostGateCase(rawValue: String(name)) else {
                throw ValidationError(
                    "no such case: \(name); the cases are \(CostGateCase.allCases.map(\.rawValue).joined(separator: ", "))"
                )
            }
            return item
        }
    }

    /// Logins need no password, because deriving keys from one costs more than thousands of requests.
    private func withDatabase(_ body: (String) async throws -> Void) async throws {
        var configuration = SandboxConfiguration()
        configuration.authentication = .trust
        try await PostgresSandbox.withSandbox(configuration) { sandbox in
            try await body(
                sandbox.connectionURL(password: "", parameters: ["sslmode": "disable", "gssencmode": "disable"]))
        }
    }

    private func measure(
        _ item: CostGateCase, _ url: String
    ) async throws -> (cost: RequestCost, few: CallgrindProfile, many: CallgrindProfile) {
        let few = try await profile(item, turns: item.turns.few, url)
        let many = try await profile(item, turns: item.turns.many, url)
        let cost = RequestCost(of: item.turns.many - item.turns.few, between: few, and: many)
        return (item.timing?.normalized(cost) ?? cost, few, many)
    }

    private func profile(_ item: CostGateCase, turns: Int, _ url: String) async throws -> CallgrindProfile {
        let run = CallgrindRun(environment: ["DATABASE_URL": url, "HOST": nil, "PORT": nil])
        guard item.isService else {
            let program = Files.canonical("/proc/self/exe") ?? CommandLine.arguments[0]
            return try await run.profile([program, "bench", "work", item.rawValue, "\(turns)"])
        }
        // One connection to the database, and no timers.
        let command = [
            try ServiceProcess.darumaBinary(), "serve", "--host", "127.0.0.1", "--port", "0", "--pool-max", "1",
            "--silence-timeout", "60s", "--ping-timeout", "60s", "--connect-timeout", "60s", "--pool-keepalive", "0s",
            "--pool-max-lifetime", "0s", "--http-idle-timeout", "10m",
        ]
        return try await run.profile(command, needsSignal: true) { process in
            let port = try await process.waitUntilListening(within: run.limit)
            guard try await HTTPProbe.waitUntilGood(port: port, within: run.limit) else {
                throw SandboxError(.timedOut, "/ping is not good", logTail: process.logTail)
            }
            try await offCooperativeThreads {
                try LockstepClient(port: port, path: item.path).send(turns, depth: item.depth)
            }
        }
    }

    private func hot(_ item: CostGateCase, _ few: CallgrindProfile, _ many: CallgrindProfile) -> [String] {
        let count = Double(item.turns.many - item.turns.few)
        let costs = many.own.map { name, cost in
            (name: name, each: Double(cost - few.own[name, default: 0]) / count)
        }
        return ["", "\(item.rawValue), instructions:"]
            + costs.sorted { $0.each > $1.each }.prefix(top).map {
                "\(Int($0.each.rounded()))".leftPadded(to: 8) + "  \($0.name)"
            }
    }

    static func percent(_ share: Double) -> String {
        let tenths = Int((share * 1000).rounded())
        return "\(tenths < 0 ? "−" : "+")\(abs(tenths) / 10).\(abs(tenths) % 10) %"
    }
}
