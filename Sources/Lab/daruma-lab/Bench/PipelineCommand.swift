import ArgumentParser
import Benchmarks
import FaultLab
import PostgresTestKit

/// The pipeline compared with exclusive check-out.
struct PipelineCommand: LabCommand {
    static let configuration = CommandConfiguration(
        commandName: "pipeline",
        abstract: "Sends many small queries through a pipeline over few connections and by check-out, in turn.",
        discussion: """
            Every caller sends its next query after the answer to the last one. Processor time is that of this \
            process, which holds callers, pool and libpq, and of PostgreSQL's processes. A failed query or a wrong \
            answer ends the run.
            """)

    @Option(help: "The number of concurrent callers.")
    var callers = 64

    @Option(help: "The connections of the pool for check-out.")
    var poolSize = 10

    @Option(help: "The connections of the small pool and of the small pipeline.")
    var few = 2

    @Flag(help: "One round of half a second each: a smoke test, not a result.")
    var quick = false

    @Option(help: "The number of measurements of each load. (default: 5)")
    var rounds: Int?

    @Option(help: "The length of each measurement, in seconds. (default: 3)")
    var seconds: Double?

    @Flag(help: "Print Markdown tables.")
    var markdown = false

    func validate() throws {
        try require("--callers", callers, in: 1...100_000)
        try require("--pool-size", poolSize, in: 1...90)
        try require("--few", few, in: 1...90)
        try require("--rounds", rounds ?? 1, in: 1...1_000)
        try require("--seconds", seconds ?? 1, in: 0.01...3_600)
    }

    private var plan: Pipelining.Plan {
        var plan = Pipelining.Plan()
        plan.callers = callers
        plan.poolSize = poolSize
        plan.few = few
        plan.rounds = rounds ?? (quick ? 1 : plan.rounds)
        plan.seconds = seconds ?? (quick ? 0.5 : plan.seconds)
        return plan
    }

    func perform() async throws {
        let host = HostInfo.current
        Terminal.warnIfLoaded(host)
        // Every way keeps its connections throughout.
        let settings = ["max_connections": "\(2 * poolSize + 2 * few + 20)"]
        try await PostgresSandbox.withSandbox(SandboxConfiguration(settings: settings)) { [plan] sandbox in
            guard let database = sandbox.server?.id else { throw SandboxError(.notRunning, "PostgreSQL has ended") }
            let url = sandbox.connectionURL(parameters: ["sslmode": "disable", "gssencmode": "disable"])
            let benchmark = await Pipelining(plan, database: database, databaseURL: url)
            print(try await benchmark.run(log: Terminal.printError), plan)
            Terminal.print(
                "\n\(plan.callers) callers, medians of \(plan.rounds) rounds of \(Figure.fixed(plan.seconds, 1)) s; "
                    + "\(host.date), \(host.description)")
        }
    }

    private func print(_ figures: [Pipelining.Cell: [Measurement]], _ plan: Pipelining.Plan) {
        for query in Pipelining.Query.allCases {
            var table = TextTable([
                "", "connections", "queries/s", "×", "p50 ms", "p99 ms", "CPU µs/query", "×", "PostgreSQL CPU µs", "×",
            ])
            var first: Measurement?
            for way in Pipelining.ways(plan) {
                let cell = Pipelining.Cell(query: query, way: way)
                guard let median = Measurement.median(figures[cell] ?? []) else { continue }
                first = first ?? median
                table.rows.append([
                    way.name, "\(way.connections)", Figure.grouped(median.requestsPerSecond),
                    Figure.ratio(median.requestsPerSecond, first?.requestsPerSecond), Figure.fixed(median.p50, 2),
                    Figure.fixed(median.p99, 2), Figure.fixed(median.processorMicroseconds, 1),
                    Figure.ratio(median.processorMicroseconds, first?.processorMicroseconds),
                    Figure.fixed(median.databaseMicroseconds, 1),
                    Figure.ratio(median.databaseMicroseconds, first?.databaseMicroseconds),
                ])
            }
            Terminal.print("\n`\(query.rawValue)`:\n")
            for line in markdown ? [table.markdown] : table.lines { Terminal.print(line) }
        }
    }
}
