import ArgumentParser
import Benchmarks
import Glibc
import PostgresTestKit

/// Costs that must not grow with what there is.
struct GrowthCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "growth",
        abstract: "Shows what a request costs with 1 to 10,000 connections, and a check-out with 1 to 100,000 waiters.",
        discussion: """
            The same number of requests is spread over ever more connections; each figure is processor time, which a \
            busy machine moves less than a rate. Also: memory for each connection, to clients and to the database.
            """)

    @Option(help: ArgumentHelp("How many connections, separated by commas.", valueName: "counts"))
    var connections = "1,10,100,1000,10000"

    @Option(help: ArgumentHelp("How many waiters, separated by commas.", valueName: "counts"))
    var waiters = "1,10,100,1000,10000,100000"

    @Option(help: "How many requests for each figure.")
    var requests = 100_000

    private func counts(_ text: String) -> [Int] { text.split(separator: ",").compactMap { Int($0) } }

    func validate() throws {
        let all = counts(connections) + counts(waiters)
        guard !all.isEmpty, all.allSatisfy({ $0 > 0 }), requests > 0 else {
            throw ValidationError("the counts are numbers above zero, separated by commas")
        }
    }

    func run() async throws {
        try await LabExit.run {
            // Passed on to the service. Two descriptors more than connections will not do: it has others too.
            let limit = DescriptorLimit.raise()
            try await PostgresSandbox.withSandbox { sandbox in
                let url = sandbox.connectionURL(parameters: ["sslmode": "disable"])
                try await requestCosts(url, limit)
                try await waiterCosts(url)
                try await databaseConnections(url)
            }
        }
    }

    private func requestCosts(_ url: String, _ limit: Int) async throws {
        var table = TextTable(["connections", "CPU µs per /", "× the first", "service MiB", "KiB per connection"])
        var first: (cost: Double, memory: Int)?
        for count in counts(connections) {
            guard count + 200 < limit else {
                Terminal.complain(
                    "\(count) connections need more descriptors than the \(limit) that are allowed (ulimit -n)")
                continue
            }
            // 10,000 are what it has places for; one more is asked for by the probe.
            let service = try await ServiceProcess.start(
                [
                    try ServiceProcess.darumaBinary(), "serve", "--host", "127.0.0.1", "--port", "0",
                    "--http-max-connections", "20000", "--http-idle-timeout", "10m",
                ], environment: ["DATABASE_URL": url])
            let port = try await service.waitUntilListening()
            let requests = self.requests
            let result = await offCooperativeThreads {
                Result {
                    let spread = try SpreadClient(port: port, connections: count)
                    // Buffers find their size first.
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
            _ = try? await service.stop()
            let (cost, own, resident) = try result.get()
            let base = first ?? (cost, own)
            first = base
            let each = count > 1 ? Figure.fixed(Double(own - base.memory) / Double(count), 2) : "–"
            table.rows.append([
                "\(count)", Figure.fixed(cost, 2), Figure.ratio(cost, base.cost),
                Figure.fixed(Double(resident) / 1024, 1), each,
            ])
        }
        for line in table.lines { Terminal.say(line) }
        Terminal.say()
    }

    private func waiterCosts(_ url: String) async throws {
        var table = TextTable(["waiters", "CPU ns per check-out", "× the first"])
        var first: Double?
        for count in counts(waiters) {
            let cost = try await WaiterGrowth.cost(waiters: count, databaseURL: url)
            first = first ?? cost
            table.rows.append(["\(count)", Figure.fixed(cost, 0), Figure.ratio(cost, first)])
        }
        for line in table.lines { Terminal.say(line) }
        Terminal.say()
    }

    private func databaseConnections(_ url: String) async throws {
        var table = TextTable(["connections to the database", "service's own KiB", "KiB each"])
        var first: Int?
        for count in [1, 11, 81] {
            let service = try await ServiceProcess.start(
                [
                    try ServiceProcess.darumaBinary(), "serve", "--host", "127.0.0.1", "--port", "0", "--pool-min",
                    "\(count)", "--pool-max", "\(max(count, 10))",
                ], environment: ["DATABASE_URL": url])
            _ = try await service.waitUntilListening()
            guard let port = UInt16(url.split(separator: ":").last?.prefix { $0.isNumber } ?? "") else { return }
            _ = try await Deadline(in: .seconds(30)).wait(every: .milliseconds(50)) {
                ProcessTable.connections(of: service.id, to: [port]) >= count
            }
            let own = MemoryMap(of: service.id)?.privateKilobytes ?? 0
            _ = try? await service.stop()
            let base = first ?? own
            first = base
            let each = count > 1 ? Figure.fixed(Double(own - base) / Double(count - 1), 1) : "–"
            table.rows.append(["\(count)", "\(own)", each])
        }
        for line in table.lines { Terminal.say(line) }
    }
}

/// How many descriptors this process, and what it starts, may have.
enum DescriptorLimit {
    /// As many as the administrator allows. Returns how many that is.
    static func raise() -> Int {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        limit.rlim_cur = min(limit.rlim_max, 65_536)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        return Int(limit.rlim_cur)
    }
}
