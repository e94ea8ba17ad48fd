import ArgumentParser
import Benchmarks
import Glibc
import PostgresTestKit

/// Instructions, allocations and system calls per request, held against the committed baseline.
struct GateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "gate",
        abstract: "Counts what a request costs (callgrind), and fails when it is more than the baseline allows.",
        discussion: """
            Counts do not depend on how busy the machine is. Each case is run twice, with few and with many turns; the \
            difference, divided, is the cost of one. Exit status 1: something became dearer.
            """)

    @Option(help: "The baseline's file.")
    var baseline: String

    @Flag(help: "Write what is measured to the baseline instead of comparing.")
    var update = false

    @Option(help: ArgumentHelp("Only these cases, separated by commas.", valueName: "cases"))
    var only: String?

    @Option(help: "Show so many of the dearest functions of each case (pipe through `swift demangle`).")
    var top = 0

    /// How often a case that seems dearer is measured again before it counts: how many answers of a pipeline come in one
    /// read depends on what else the machine does, and what is dearer is dearer each time.
    private static let furtherTries = 2

    func run() async throws {
        try await LabExit.run {
            let known = InstructionBaseline(parsing: Files.read(baseline) ?? "")
            var measured = known
            var table = TextTable(["per request"] + RequestCost.columns.map(\.name) + ["", "baseline"])
            var complaints: [String] = []
            var improvements: [String] = []
            var hottest: [String] = []
            try await withDatabase { url in
                for item in try cases() {
                    var (cost, few, many) = try await measure(item, url)
                    for _ in 0..<Self.furtherTries where known.verdict(on: item.rawValue, cost).isWorse {
                        (cost, few, many) = try await measure(item, url)
                    }
                    measured.costs[item.rawValue] = cost
                    let before = known.costs[item.rawValue]?.texts[0] ?? "–"
                    var mark = ""
                    switch known.verdict(on: item.rawValue, cost) {
                    case .new: mark = "new"
                    case .kept(let change): mark = Self.percent(change)
                    case .better(let change):
                        mark = Self.percent(change)
                        improvements.append("\(item.rawValue) \(mark)")
                    case .worse(let change, let figures):
                        mark = "\(Self.percent(change)) TOO MUCH"
                        complaints.append("\(item.rawValue): \(figures.joined(separator: ", "))")
                    }
                    table.rows.append([item.rawValue] + cost.texts + [mark, before])
                    hottest += top > 0 ? hot(item, few, many) : []
                }
            }
            for line in table.lines + hottest { Terminal.say(line) }
            if update {
                try Files.write(measured.text(order: GateCase.allCases.map(\.rawValue)), to: baseline, mode: 0o644)
                Terminal.say("kept as the baseline: \(baseline)")
                return
            }
            if !improvements.isEmpty {
                Terminal.say("cheaper than the baseline: \(improvements.joined(separator: ", ")). Keep it with")
                Terminal.say("  scripts/bench gate --update")
            }
            guard complaints.isEmpty else {
                for line in complaints { Terminal.say("dearer than the baseline allows: \(line)") }
                Terminal.say("If that is meant, say so with")
                Terminal.say("  scripts/bench gate --update")
                throw ExitCode(1)
            }
        }
    }

    private func cases() throws -> [GateCase] {
        guard let only else { return GateCase.allCases }
        return try only.split(separator: ",").map { name in
            guard let item = GateCase(rawValue: String(name)) else {
                throw ValidationError(
                    "there is no case '\(name)': \(GateCase.allCases.map(\.rawValue).joined(separator: ", "))")
            }
            return item
        }
    }

    /// Logins without a password: deriving keys from one costs more than thousands of requests.
    private func withDatabase(_ body: (String) async throws -> Void) async throws {
        var configuration = SandboxConfiguration()
        configuration.authentication = .trust
        try await PostgresSandbox.withSandbox(configuration) { sandbox in
            try await body(
                sandbox.connectionURL(password: "", parameters: ["sslmode": "disable", "gssencmode": "disable"]))
        }
    }

    private func measure(
        _ item: GateCase, _ url: String
    ) async throws -> (cost: RequestCost, few: CallgrindProfile, many: CallgrindProfile) {
        let few = try await profile(item, turns: item.turns.few, url)
        let many = try await profile(item, turns: item.turns.many, url)
        return (RequestCost(of: item.turns.many - item.turns.few, between: few, and: many), few, many)
    }

    private func profile(_ item: GateCase, turns: Int, _ url: String) async throws -> CallgrindProfile {
        let run = CallgrindRun(environment: ["DATABASE_URL": url, "HOST": nil, "PORT": nil])
        guard item.isService else {
            return try await run.profile(["/proc/self/exe".resolved, "bench", "work", item.rawValue, "\(turns)"])
        }
        // One connection to the database, and nothing that happens by time.
        let command = [
            try ServiceProcess.darumaBinary(), "serve", "--host", "127.0.0.1", "--port", "0", "--pool-max", "1",
            "--silence-timeout", "60s", "--ping-timeout", "60s", "--connect-timeout", "60s", "--pool-keepalive", "0s",
            "--pool-max-lifetime", "0s", "--http-idle-timeout", "10m",
        ]
        return try await run.profile(command, asksToLeave: true) { process in
            let port = try await process.waitUntilListening(within: run.limit)
            let isUp = try await Deadline(in: run.limit).wait(every: .milliseconds(50)) {
                await HTTPProbe.get("/ping", port: port, limit: run.limit).isGood
            }
            guard isUp else { throw SandboxError(.timedOut, "/ping is not good", logTail: process.logTail) }
            let failure: (any Error)? = await offCooperativeThreads {
                do {
                    try LockstepClient(port: port, path: item.path).send(turns, depth: item.depth)
                    return nil
                } catch {
                    return error
                }
            }
            if let failure { throw failure }
        }
    }

    private func hot(_ item: GateCase, _ few: CallgrindProfile, _ many: CallgrindProfile) -> [String] {
        let count = Double(item.turns.many - item.turns.few)
        let costs = many.own.map { name, cost in
            (name: name, each: Double(cost - few.own[name, default: 0]) / count)
        }
        let dearest = costs.sorted { $0.each > $1.each }.prefix(top)
        return ["", "\(item.rawValue), instructions:"]
            + dearest.map { "\(Int($0.each.rounded()))".leftPadded(to: 8) + "  \($0.name)" }
    }

    static func percent(_ share: Double) -> String {
        let tenths = Int((share * 1000).rounded())
        return "\(tenths < 0 ? "−" : "+")\(abs(tenths) / 10).\(abs(tenths) % 10) %"
    }
}

extension String {
    func leftPadded(to width: Int) -> String { String(repeating: " ", count: max(0, width - count)) + self }

    /// The path without links.
    var resolved: String {
        guard let resolved = realpath(self, nil) else { return self }
        defer { free(resolved) }
        return String(cString: resolved)
    }
}
