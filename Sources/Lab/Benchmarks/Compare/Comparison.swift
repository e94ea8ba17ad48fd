package import PostgresTestKit

/// Several services under the same loads, in turn within one run, so that other load on the machine affects all alike.
package struct Comparison: Sendable {
    package struct Plan: Sendable {
        package var connections = [1, 64, 256]
        package var rounds = 5
        /// The length of each load.
        package var seconds = 5
        package var warmUpSeconds = 2

        package init() {}

        /// A smoke test, not a result.
        package static var quick: Plan {
            var plan = Plan()
            plan.rounds = 1
            plan.seconds = 1
            plan.warmUpSeconds = 1
            return plan
        }
    }

    /// One row of the report.
    package struct Cell: Hashable, Sendable {
        package let path: String
        package let connections: Int
        package let name: String

        package init(path: String, connections: Int, name: String) {
            self.path = path
            self.connections = connections
            self.name = name
        }
    }

    package let plan: Plan
    private let sandbox: PostgresSandbox
    private let log: @Sendable (String) -> Void

    /// The connections of each target to the database.
    package static let poolSize = 10

    package init(plan: Plan, sandbox: PostgresSandbox, log: @escaping @Sendable (String) -> Void) {
        self.plan = plan
        self.sandbox = sandbox
        self.log = log
    }

    /// Returns one figure for each round. All targets run throughout, and are loaded in turn.
    package func run(_ targets: [RunningTarget], pgbench: String?) async throws -> [Cell: [Measurement]] {
        var figures: [Cell: [Measurement]] = [:]
        for target in targets {
            for path in paths(of: target) {
                _ = try await load(target, path, connections: 64, seconds: plan.warmUpSeconds)
            }
        }
        for round in 1...plan.rounds {
            for path in ["/", "/ping"] {
                for connections in plan.connections {
                    log("round \(round) of \(plan.rounds): \(path), \(connections) connections")
                    for target in targets where paths(of: target).contains(path) {
                        let cell = Cell(path: path, connections: connections, name: target.name)
                        figures[cell, default: []].append(
                            try await load(target, path, connections: connections, seconds: plan.seconds))
                    }
                }
            }
            guard let pgbench else { continue }
            log("round \(round) of \(plan.rounds): pgbench")
            for mode in ["simple", "prepared"] {
                let cell = Cell(path: "/ping", connections: Self.poolSize, name: "pgbench, \(mode)")
                figures[cell, default: []].append(try await ceiling(pgbench, mode))
            }
        }
        return figures
    }

    private func paths(of target: RunningTarget) -> [String] { target.hasPing ? ["/", "/ping"] : ["/"] }

    private func load(
        _ target: RunningTarget, _ path: String, connections: Int, seconds: Int
    ) async throws -> Measurement {
        guard let database = sandbox.server?.id else { throw SandboxError(.notRunning, "PostgreSQL has ended") }
        let before = (ProcessTree(target.process.id), ProcessTree(database))
        let text = try await output(
            of: [
                "wrk", "--threads", "1", "--connections", "\(connections)", "--duration", "\(seconds)s", "--timeout",
                "10s", "--latency", "http://127.0.0.1:\(target.port)\(path)",
            ], within: .seconds(seconds + 30))
        let after = (ProcessTree(target.process.id), ProcessTree(database))
        guard let report = WrkReport(text), let own = both(before.0, after.0), let its = both(before.1, after.1) else {
            throw SandboxError(.service, "\(target.name), \(path): no figures", logTail: text)
        }
        let requests = Double(max(report.requests, 1))
        return Measurement(
            requestsPerSecond: report.perSecond, p50: report.p50, p99: report.p99,
            processorMicroseconds: used(own) / requests,
            databaseMicroseconds: path == "/" ? nil : used(its) / requests,
            residentMiB: Double(own.after.residentKilobytes) / 1024, failures: report.failures)
    }

    /// Measures PostgreSQL alone, under pgbench with as many sessions as a target has.
    private func ceiling(_ pgbench: String, _ mode: String) async throws -> Measurement {
        guard let database = sandbox.server?.id else { throw SandboxError(.notRunning, "PostgreSQL has ended") }
        let folder = try TemporaryFolder()
        let script = "\(folder.path)/select.sql"
        try Files.write("select 1;\n", to: script)
        let before = ProcessTree(database)
        let text = try await output(
            of: [
                pgbench, "--no-vacuum", "--client=\(Self.poolSize)", "--jobs=1", "--time=\(plan.seconds)",
                "--protocol=\(mode)", "--file=\(script)", sandbox.connectionURL(parameters: ["sslmode": "disable"]),
            ], within: .seconds(plan.seconds + 30))
        guard let rate = Self.pgbenchRate(text), let its = both(before, ProcessTree(database)) else {
            throw SandboxError(.service, "pgbench: no figures", logTail: text)
        }
        return Measurement(
            requestsPerSecond: rate, databaseMicroseconds: used(its) / (rate * Double(plan.seconds)))
    }

    /// `tps = 67012.345678 (without initial connection time)`
    static func pgbenchRate(_ text: String) -> Double? {
        text.split(separator: "\n").first { $0.hasPrefix("tps = ") }
            .flatMap { Double($0.dropFirst(6).prefix { $0 != " " }) }
    }

    private func output(of command: [String], within limit: Duration) async throws -> String {
        let process = try await ServiceProcess.start(command)
        let exit = try await process.waitForExit(within: limit)
        guard exit == .code(0) else {
            throw SandboxError(.commandFailed, "\(command[0]): \(exit)", logTail: process.logTail)
        }
        return process.log
    }
}

/// Both, or nil.
private func both(_ before: ProcessTree?, _ after: ProcessTree?) -> (before: ProcessTree, after: ProcessTree)? {
    before.flatMap { before in after.map { (before, $0) } }
}

/// The processor time used between the two, in microseconds.
private func used(_ pair: (before: ProcessTree, after: ProcessTree)) -> Double {
    Double(pair.after.processorMicroseconds - pair.before.processorMicroseconds)
}
