import Glibc
import PostgresTestKit

/// A real Prometheus that scrapes one service five times a second, in its own folder. A watchdog kills it when this
/// process ends.
package final class PrometheusServer: Sendable {
    private let process: ServiceProcess
    private let port: UInt16
    private let folder: TemporaryFolder

    /// Whether Prometheus and promtool are installed.
    package static var isInstalled: Bool { program("prometheus") != nil && program("promtool") != nil }

    private init(_ process: ServiceProcess, port: UInt16, folder: TemporaryFolder) {
        self.process = process
        self.port = port
        self.folder = folder
    }

    /// Starts a server that scrapes `/metrics` on the loopback address.
    ///
    /// - Parameters:
    ///   - target: the service's port.
    ///   - rules: files of rules, which the server evaluates as often as it scrapes.
    package static func start(
        scraping target: UInt16, rules: [String] = [], within limit: Duration = .seconds(20)
    ) async throws -> PrometheusServer {
        guard let program = program("prometheus") else {
            throw SandboxError(.missingBinaries, "prometheus is not installed (Debian: apt-get install prometheus)")
        }
        let folder = try TemporaryFolder()
        let port = try PortReservation.unreserved()
        let configuration = """
            global: {scrape_interval: 200ms, scrape_timeout: 200ms, evaluation_interval: 200ms}
            rule_files: [\(rules.map { "'\($0)'" }.joined(separator: ", "))]
            scrape_configs:
              - job_name: daruma
                static_configs: [{targets: ['127.0.0.1:\(target)']}]

            """
        try Files.write(configuration, to: "\(folder.path)/prometheus.yml")
        let process = try await ServiceProcess.start([
            program, "--config.file=\(folder.path)/prometheus.yml", "--storage.tsdb.path=\(folder.path)/data",
            "--web.listen-address=127.0.0.1:\(port)", "--log.level=warn",
        ])
        let server = PrometheusServer(process, port: port, folder: folder)
        let isReady = try await Deadline(in: limit).wait(every: .milliseconds(20)) {
            guard process.isRunning else {
                throw SandboxError(.service, "prometheus ended instead of listening", logTail: process.logTail)
            }
            return await HTTPProbe.get("/-/ready", port: port, limit: .seconds(1)).isGood
        }
        guard isReady else {
            throw SandboxError(.timedOut, "prometheus was not ready within \(limit)", logTail: process.logTail)
        }
        return server
    }

    /// The present value of a PromQL expression; nil unless it has exactly one.
    package func value(of expression: String) async throws -> Double? {
        let path = "/api/v1/query?query=\(expression.percentEncoded)"
        let exchange = await HTTPProbe.get(path, port: port, limit: .seconds(5))
        guard exchange.isGood else {
            throw SandboxError(.service, "prometheus refused '\(expression)': \(exchange.body)")
        }
        // {"status":"success","data":{"resultType":"vector","result":[{"metric":{…},"value":[1700000000.1,"42"]}]}}
        let values = exchange.body.split(separator: "\"value\":[").dropFirst()
        guard values.count == 1, let text = values.first?.split(separator: "\"").dropFirst().first else { return nil }
        return Double(text.replacing("+Inf", with: "inf").replacing("NaN", with: "nan"))
    }

    package func stop() async throws {
        try await process.stop()
    }

    // MARK: promtool

    /// The complaints of `promtool check metrics`; empty if it has none.
    package static func problems(in metrics: String) async -> String {
        do {
            return try await promtool(["check", "metrics"], input: metrics)
        } catch {
            return "\(error)"
        }
    }

    /// Runs promtool and returns its output. Throws, with its output, if it fails.
    @discardableResult
    package static func promtool(_ arguments: [String], input: String = "", folder: String = "/") async throws -> String
    {
        guard let program = program("promtool") else {
            throw SandboxError(.missingBinaries, "promtool is not installed (Debian: apt-get install prometheus)")
        }
        var command = Command(executable: program, arguments: arguments)
        command.input = input
        command.folder = folder
        return try await command.run()
    }

    private static func program(_ name: String) -> String? {
        ["/usr/bin/\(name)", "/usr/local/bin/\(name)"].first(where: Files.isExecutable)
    }
}
