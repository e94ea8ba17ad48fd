import ArgumentParser
import Benchmarks
import PostgresTestKit

/// The pipeline beside exclusive check-out.
struct PipelineCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pipeline",
        abstract: "Asks many small queries through a pipeline over few connections and by check-out, in turn.",
        discussion: """
            Every caller asks for its next query when it has been answered. Processor time is this process's – callers, \
            pool and libpq – and that of PostgreSQL's processes. A query that fails or is answered wrongly ends it all.
            """)

    @Option(help: "How many callers ask at the same time.")
    var callers = 64

    @Option(help: "Connections that are checked out in turn.")
    var poolSize = 10

    @Option(help: "Connections of the small pool and of the small pipeline.")
    var few = 2

    @Flag(help: "One round of half a second each: to see that it works, not to quote.")
    var quick = false

    @Option(help: "How often each is measured. (default: 5)")
    var rounds: Int?

    @Option(help: "How long each time, in seconds. (default: 3)")
    var seconds: Double?

    @Flag(help: "Tables for a README.")
    var markdown = false

    func validate() throws {
        guard callers > 0, poolSize > 0, few > 0, (rounds ?? 1) > 0, (seconds ?? 1) > 0 else {
            throw ValidationError("all numbers are above zero")
        }
        guard poolSize <= 90, few <= 90 else { throw ValidationError("at most 90 connections each") }
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

    func run() async throws {
        try await LabExit.run {
            let machine = Machine()
            if machine.load > 0.5 {
                Terminal.complain("The machine is busy (load \(machine.load)): these figures are worth little.")
            }
            // Every way has its connections all along.
            let settings = ["max_connections": "\(2 * poolSize + 2 * few + 20)"]
            try await PostgresSandbox.withSandbox(SandboxConfiguration(settings: settings)) { [plan] sandbox in
                guard let database = sandbox.server?.id else { throw SandboxError(.notRunning, "PostgreSQL has gone") }
                let url = sandbox.connectionURL(parameters: ["sslmode": "disable", "gssencmode": "disable"])
                let benchmark = await Pipelining(plan, database: database, databaseURL: url)
                show(try await benchmark.run(say: Terminal.complain), plan)
                Terminal.say(
                    "\n\(plan.callers) callers, medians of \(plan.rounds) rounds of \(Figure.fixed(plan.seconds, 1)) s; "
                        + machine.description)
            }
        }
    }

    private func show(_ figures: [Pipelining.Cell: [Measurement]], _ plan: Pipelining.Plan) {
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
            Terminal.say("\n`\(query.rawValue)`:\n")
            for line in markdown ? [table.markdown] : table.lines { Terminal.say(line) }
        }
    }
}
