import ArgumentParser
import FaultLab
import PostgresTestKit

/// An injected outage, as a real Prometheus reports it.
struct PrometheusCommand: LabCommand {
    static let configuration = CommandConfiguration(
        commandName: "prometheus",
        abstract: "Lets a real Prometheus scrape the service, stops and starts the database, and queries the outage.",
        discussion: "The exit status is 0 if Prometheus reports the outage correctly, and 1 if not.")

    @Option(help: "The length of the outage, in seconds.")
    var hold = 3.0

    @Option(help: "Files of rules for Prometheus to evaluate.")
    var rules: [String] = []

    @Option(help: "The service's binary. (default: the daruma beside this program)")
    var daruma: String?

    func validate() throws { try require("--hold", hold, in: 1...600) }

    func perform() async throws {
        let checks = try await PostgresSandbox.withSandbox { sandbox in
            try await ServiceProcess.withDaruma(databaseURL: sandbox.connectionURL(), binary: daruma) { _, address in
                let metrics = await HTTPProbe.get("/metrics", port: address.port).body
                let problems = await PrometheusServer.problems(in: metrics)
                let clean = Check(
                    isKept: problems.isEmpty, text: "promtool check metrics: \(problems.isEmpty ? "clean" : problems)")
                let prometheus = try await PrometheusServer.start(scraping: address.port, rules: rules)
                let outage = try await ObservedOutage.make(
                    sandbox, seenBy: prometheus, hold: .seconds(option: hold))
                try await prometheus.stop()
                return [clean] + outage.checks
            }
        }
        try Reporter.finish(checks)
    }
}
