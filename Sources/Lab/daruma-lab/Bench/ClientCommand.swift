import ArgumentParser
import Benchmarks
import FaultLab
import PostgresTestKit

/// The client on top of the pool.
struct ClientCommand: LabCommand {
    static let configuration = CommandConfiguration(
        commandName: "client",
        abstract: "Measures PostgresClient: small queries beside the pool's, and many rows beside psql.",
        discussion: """
            Small queries: tasks of the global executor through the client, and tasks on the loop through the pool, in \
            turn. Many rows: read one by one and decoded, and by COPY in both directions, while a server on the same \
            loop answers /. A failed query or a wrong answer ends the run.
            """)

    @Option(help: "The number of concurrent callers.")
    var callers = 64

    @Option(help: "The number of rows.")
    var rows = 1_000_000

    @Option(help: "The number of measurements of each.")
    var rounds = 3

    @Option(help: "The length of each load of small queries, in seconds.")
    var seconds = 3.0

    @Option(help: ArgumentHelp("A program that reads STATEMENT's rows from DATABASE_URL.", valueName: "NAME=COMMAND"))
    var peer: [String] = []

    func validate() throws {
        try require("--callers", callers, in: 1...100_000)
        try require("--rows", rows, in: 1...100_000_000)
        try require("--rounds", rounds, in: 1...1_000)
        try require("--seconds", seconds, in: 0.01...3_600)
    }

    func perform() async throws {
        let host = HostInfo.current
        Terminal.warnIfLoaded(host)
        var rate = ClientRate.Plan()
        (rate.callers, rate.rounds, rate.seconds) = (callers, rounds, seconds)
        var stream = ClientStream.Plan()
        (stream.rows, stream.rounds) = (rows, rounds)
        stream.peers = peer.compactMap { text in
            text.firstIndex(of: "=").map { (String(text[..<$0]), String(text[text.index(after: $0)...])) }
        }
        try await PostgresSandbox.withSandbox(SandboxConfiguration(settings: ["max_connections": "60"])) {
            [rate, stream] sandbox in
            guard let database = sandbox.server?.id else { throw SandboxError(.notRunning, "PostgreSQL has ended") }
            let url = sandbox.connectionURL(parameters: ["sslmode": "disable", "gssencmode": "disable"])
            let figures = try await ClientRate(rate, database: database, databaseURL: url)
                .run(log: Terminal.printError)
            print(figures)
            print(try await ClientStream(stream, on: sandbox).run(log: Terminal.printError))
            Terminal.print(
                "\nmedians of \(rounds) rounds; \(callers) callers, 10 connections; \(Figure.grouped(Double(rows))) rows "
                    + "of five columns; \(host.date), \(host.description)")
        }
    }

    private func print(_ figures: [ClientRate.Way: [Measurement]]) {
        var table = TextTable(["select 1", "queries/s", "×", "p50 ms", "p99 ms", "CPU µs/query", "PostgreSQL CPU µs"])
        var first: Measurement?
        for way in ClientRate.Way.allCases {
            guard let median = Measurement.median(figures[way] ?? []) else { continue }
            first = first ?? median
            table.rows.append([
                way.rawValue, Figure.grouped(median.requestsPerSecond),
                Figure.ratio(median.requestsPerSecond, first?.requestsPerSecond), Figure.fixed(median.p50, 2),
                Figure.fixed(median.p99, 2), Figure.fixed(median.processorMicroseconds, 1),
                Figure.fixed(median.databaseMicroseconds, 1),
            ])
        }
        for line in table.lines { Terminal.print(line) }
    }

    private func print(_ figures: [ClientStream.Figures]) {
        var table = TextTable(["many rows", "rows/s", "resident memory", "p99 of / ms"])
        var ways: [String] = []
        for figure in figures where !ways.contains(figure.way) { ways.append(figure.way) }
        for way in ways {
            let all = figures.filter { $0.way == way }
            // The worst of memory and of `/`.
            let growth = all.compactMap(\.growthKiB).max()
            table.rows.append([
                way, Figure.grouped(median(all.map(\.rowsPerSecond)) ?? 0),
                growth.map { "+\($0) KiB" } ?? "-", Figure.fixed(all.compactMap(\.rootP99).max(), 2),
            ])
        }
        Terminal.print("")
        for line in table.lines { Terminal.print(line) }
    }
}
