import ArgumentParser
import Benchmarks
import FaultLab
import PostgresTestKit

/// Costs that must not grow with the number of connections or waiters.
struct GrowthCommand: LabCommand {
    static let configuration = CommandConfiguration(
        commandName: "growth",
        abstract: "Measures a request with 1 to 10,000 connections, and a check-out with 1 to 100,000 waiters.",
        discussion: """
            Spreads the same number of requests over ever more connections. Figures are processor time, which other \
            load changes less than a rate. Also prints the memory of each connection, to clients and to the database.
            """)

    @Option(help: ArgumentHelp("Numbers of connections, separated by commas.", valueName: "counts"))
    var connections = CountList([1, 10, 100, 1_000, 10_000])

    @Option(help: ArgumentHelp("Numbers of waiters, separated by commas.", valueName: "counts"))
    var waiters = CountList([1, 10, 100, 1_000, 10_000, 100_000])

    @Option(help: "The number of requests for each figure.")
    var requests = 100_000

    func validate() throws { try require("--requests", requests, in: 1...100_000_000) }

    func perform() async throws {
        // The service inherits the limit, and needs descriptors besides its connections.
        let limit = DescriptorLimit.raise()
        try await PostgresSandbox.withSandbox { sandbox in
            let url = sandbox.connectionURL(parameters: ["sslmode": "disable"])
            print(try await requestCosts(url, limit))
            print(try await waiterCosts(url))
            print(try await databaseConnections(url, sandbox.port))
        }
    }

    private func print(_ table: TextTable) {
        for line in table.lines + [""] { Terminal.print(line) }
    }

    private func requestCosts(_ url: String, _ limit: Int) async throws -> TextTable {
        var table = TextTable(["connections", "CPU µs per /", "× the first", "service MiB", "KiB per connection"])
        var first: (cost: Double, memory: Int)?
        for count in connections.counts {
            guard count + 200 < limit else {
                Terminal.printError("\(count) connections need more than the \(limit) descriptors allowed (ulimit -n)")
                continue
            }
            // The default maximum of 10,000 leaves no room for the probe.
            let arguments = ["--http-max-connections", "20000", "--http-idle-timeout", "10m"]
            let requests = self.requests
            let (cost, own, resident) = try await ServiceProcess.withDaruma(arguments, databaseURL: url) {
                service, address in
                try await offCooperativeThreads {
                    let spread = try SpreadClient(port: address.port, connections: count)
                    // Lets buffers reach their size.
                    try spread.send(max(count, requests / 10))
                    let before = ProcessTree(service.id)?.processorMicroseconds ?? 0
                    try spread.send(requests)
                    let used = (ProcessTree(service.id)?.processorMicroseconds ?? 0) - before
                    return (
                        Double(used) / Double(requests), MemoryMap(of: service.id)?.privateKilobytes ?? 0,
                        service.usage?.residentKilobytes ?? 0
                    )
                }
            }
            let base = first ?? (cost, own)
            first = base
            let each = count > 1 ? Figure.fixed(Double(own - base.memory) / Double(count), 2) : "–"
            table.rows.append([
                "\(count)", Figure.fixed(cost, 2), Figure.ratio(cost, base.cost),
                Figure.fixed(Double(resident) / 1024, 1), each,
            ])
        }
        return table
    }

    private func waiterCosts(_ url: String) async throws -> TextTable {
        var table = TextTable(["waiters", "CPU ns per check-out", "× the first"])
        var first: Double?
        for count in waiters.counts {
            let cost = try await WaiterGrowth.cost(waiters: count, databaseURL: url)
            first = first ?? cost
            table.rows.append(["\(count)", Figure.fixed(cost, 0), Figure.ratio(cost, first)])
        }
        return table
    }

    private func databaseConnections(_ url: String, _ port: UInt16) async throws -> TextTable {
        var table = TextTable(["connections to the database", "service's own KiB", "KiB each"])
        var first: Int?
        for count in [1, 11, 81] {
            let arguments = ["--pool-min", "\(count)", "--pool-max", "\(max(count, 10))"]
            let own = try await ServiceProcess.withDaruma(arguments, databaseURL: url) { service, _ in
                _ = try await Deadline(in: .seconds(30)).wait(every: .milliseconds(50)) {
                    ProcessTable.connections(of: service.id, to: [port]) >= count
                }
                return MemoryMap(of: service.id)?.privateKilobytes ?? 0
            }
            let base = first ?? own
            first = base
            let each = count > 1 ? Figure.fixed(Double(own - base) / Double(count - 1), 1) : "–"
            table.rows.append(["\(count)", "\(own)", each])
        }
        return table
    }
}
