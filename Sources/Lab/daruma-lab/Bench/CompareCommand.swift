import ArgumentParser
import Benchmarks
import Glibc
import PostgresTestKit

/// The service and its peers in one run.
struct CompareCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "compare",
        abstract: "Loads the service and its peers in turn, and shows medians and ratios.",
        discussion: """
            A peer is a command that serves / and, if it can, /ping on 127.0.0.1:PORT with the database DATABASE_URL, \
            and whose answers are the service's, but for spaces. Needs wrk, and pgbench for the ceiling.
            """)

    @Option(help: ArgumentHelp("A peer; may be given several times.", valueName: "name=command"))
    var peer: [String] = []

    @Option(help: ArgumentHelp("What cannot take part, for the report; several times.", valueName: "text"))
    var missing: [String] = []

    @Flag(help: "One round of one second each: to see that it works, not to quote.")
    var quick = false

    @Option(help: "How often each is measured. (default: 5)")
    var rounds: Int?

    @Option(help: "How long each time, in seconds. (default: 5)")
    var seconds: Int?

    @Option(help: ArgumentHelp("How many connections, separated by commas. (default: 1,64,256)", valueName: "counts"))
    var connections: String?

    @Option(help: ArgumentHelp("A folder for bench.md and bench.json.", valueName: "folder"))
    var output: String?

    func validate() throws {
        guard peer.allSatisfy({ $0.contains("=") }) else { throw ValidationError("--peer is NAME=COMMAND") }
        let counts = connections?.split(separator: ",").map { Int($0) ?? 0 } ?? [1]
        guard (rounds ?? 1) > 0, (seconds ?? 1) > 0, !counts.isEmpty, counts.allSatisfy({ $0 > 0 }) else {
            throw ValidationError("--rounds, --seconds and --connections are numbers above zero")
        }
    }

    private var plan: Comparison.Plan {
        var plan = quick ? Comparison.Plan.quick : Comparison.Plan()
        if let rounds { plan.rounds = rounds }
        if let seconds { plan.seconds = seconds }
        if let connections { plan.connections = connections.split(separator: ",").compactMap { Int($0) } }
        return plan
    }

    func run() async throws {
        try await LabExit.run {
            let machine = Machine()
            if machine.load > 0.5 {
                Terminal.complain("The machine is busy (load \(machine.load)): these figures are worth little.")
            }
            try await PostgresSandbox.withSandbox { sandbox in
                let report = try await compare(on: sandbox, machine)
                for (title, table) in report.tables {
                    Terminal.say("\n\(title)")
                    for line in table.lines { Terminal.say(line) }
                }
                Terminal.say("\n\(machine.description)")
                for line in report.missing { Terminal.say("not run: \(line)") }
                Terminal.say()
                for promise in report.promises { Terminal.say("\(promise.isKept ? "✓" : "✗") \(promise.text)") }
                guard let output else { return }
                try Files.write(report.markdown, to: "\(output)/bench.md", mode: 0o644)
                try Files.write(report.json, to: "\(output)/bench.json", mode: 0o644)
                Terminal.say("\n\(output)/bench.md, \(output)/bench.json")
            }
        }
    }

    private func compare(on sandbox: PostgresSandbox, _ machine: Machine) async throws -> ComparisonReport {
        let url = sandbox.connectionURL(parameters: ["sslmode": "disable"])
        let own = try await RunningContender.start(
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
                running.append(
                    try await RunningContender.start(
                        BenchmarkTarget(name: parts[0], command: [parts.count > 1 ? parts[1] : ""]), databaseURL: url,
                        expecting: bodies))
            } catch let error as SandboxError {
                Terminal.complain("\(parts[0]) cannot take part: \(error)")
                absent.append("\(parts[0]): \(error.message.split(separator: "\n").first ?? "")")
            }
        }
        let pgbench = Self.pgbench
        if pgbench == nil { absent.append("pgbench: not installed") }
        let names = running.map(\.name)
        let figures = try await Comparison(plan: plan, sandbox: sandbox, say: Terminal.complain).run(
            running, pgbench: pgbench)
        for contender in running { _ = try? await contender.process.stop() }
        return ComparisonReport(figures, order: names, plan: plan, missing: absent, machine: machine)
    }

    /// Beside the server's other programs.
    private static var pgbench: String? {
        let versions = Files.names(in: "/usr/lib/postgresql").compactMap { Int($0) }.sorted(by: >)
        return (versions.map { "/usr/lib/postgresql/\($0)/bin/pgbench" } + ["/usr/bin/pgbench"])
            .first { Files.isExecutable($0) }
    }
}
