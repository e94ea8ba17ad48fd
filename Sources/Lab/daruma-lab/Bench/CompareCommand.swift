import ArgumentParser
import Benchmarks
import FaultLab
import PostgresTestKit

/// The service and its peers in one run.
struct CompareCommand: LabCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Loads the service and its peers in turn, and prints medians and ratios.",
        discussion: """
            A peer is a command that serves / and, if it can, /ping on 127.0.0.1:PORT with the database DATABASE_URL, \
            and gives the service's answers except for spaces. Needs wrk, and pgbench for the ceiling. Exit status 1: \
            a figure exceeded its limit.
            """)

    @Option(help: ArgumentHelp("A peer; may be repeated.", valueName: "name=command"))
    var peer: [String] = []

    @Option(help: ArgumentHelp("A peer that cannot run, for the report; may be repeated.", valueName: "text"))
    var missing: [String] = []

    @Flag(help: "One round of one second each: a smoke test, not a result.")
    var quick = false

    @Option(help: "The number of measurements of each load. (default: 5)")
    var rounds: Int?

    @Option(help: "The length of each measurement, in seconds. (default: 5)")
    var seconds: Int?

    @Option(help: ArgumentHelp("Numbers of connections, separated by commas. (default: 1,64,256)", valueName: "counts"))
    var connections: CountList?

    @Option(help: ArgumentHelp("Write bench.md and bench.json to this folder.", valueName: "folder"))
    var output: String?

    @Option(
        help: ArgumentHelp(
            "Write benchmarks-YYYY-MM-DD.md to this folder, for scripts/results.", valueName: "folder"))
    var publish: String?

    func validate() throws {
        guard peer.allSatisfy({ $0.contains("=") }) else { throw ValidationError("--peer is NAME=COMMAND") }
        try require("--rounds", rounds ?? 1, in: 1...1_000)
        try require("--seconds", seconds ?? 1, in: 1...3_600)
    }

    private var plan: Comparison.Plan {
        var plan = quick ? Comparison.Plan.quick : Comparison.Plan()
        if let rounds { plan.rounds = rounds }
        if let seconds { plan.seconds = seconds }
        if let connections { plan.connections = connections.counts }
        return plan
    }

    func perform() async throws {
        let host = HostInfo.current
        Terminal.warnIfLoaded(host)
        let report = try await PostgresSandbox.withSandbox { try await compare(on: $0, host) }
        for (title, table) in report.tables {
            Terminal.print("\n\(title)")
            for line in table.lines { Terminal.print(line) }
        }
        Terminal.print("\n\(host.date), \(host.description)")
        for line in report.missing { Terminal.print("not run: \(line)") }
        if let output {
            try Files.write(report.markdown, to: "\(output)/bench.md", mode: 0o644)
            try Files.write(report.json, to: "\(output)/bench.json", mode: 0o644)
            Terminal.print("written: \(output)/bench.md, bench.json")
        }
        if let publish { Terminal.print("written: \(try await report.dated.publish(to: publish, on: host))") }
        Terminal.print()
        // Last, so that a broken promise leaves a report.
        try Reporter.finish(report.checks)
    }

    private func compare(on sandbox: PostgresSandbox, _ host: HostInfo) async throws -> ComparisonReport {
        let url = sandbox.connectionURL(parameters: ["sslmode": "disable"])
        let own = try await RunningTarget.start(
            BenchmarkTarget(name: ComparisonReport.own, command: [try ServiceProcess.darumaBinary(), "serve"]),
            databaseURL: url, expecting: [:])
        let bodies = [
            "/": await HTTPProbe.get("/", port: own.port).body,
            "/ping": await HTTPProbe.get("/ping", port: own.port).body,
        ]
        var running = [own]
        var absent = missing
        for text in peer {
            let parts = text.split(separator: "=", maxSplits: 1).map(String.init)
            do {
                let target = BenchmarkTarget(name: parts[0], command: [parts.count > 1 ? parts[1] : ""])
                running.append(try await RunningTarget.start(target, databaseURL: url, expecting: bodies))
            } catch let error as SandboxError {
                Terminal.printError("\(parts[0]) cannot run: \(error)")
                absent.append("\(parts[0]): \(error.message.split(separator: "\n").first ?? "")")
            }
        }
        if Self.pgbench == nil { absent.append("pgbench: not installed") }
        let figures = try await Comparison(plan: plan, sandbox: sandbox, log: Terminal.printError).run(
            running, pgbench: Self.pgbench)
        for target in running { _ = try? await target.process.stop() }
        return ComparisonReport(figures, order: running.map(\.name), plan: plan, missing: absent, host: host)
    }

    /// Debian installs it beside the server's other programs.
    private static let pgbench: String? = {
        let versions = Files.names(in: "/usr/lib/postgresql").compactMap { Int($0) }.sorted(by: >)
        return (versions.map { "/usr/lib/postgresql/\($0)/bin/pgbench" } + ["/usr/bin/pgbench"])
            .first { Files.isExecutable($0) }
    }()
}
