import ArgumentParser
import FaultLab
import PostgresTestKit

/// An outage, and what a real Prometheus knows of it.
struct PrometheusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "prometheus",
        abstract: "Has a real Prometheus scrape the service, stops and starts the database, and asks for the outage.",
        discussion: "The exit code is 0 if Prometheus knows of the outage that was made, 1 if it does not.")

    @Option(help: "How long the outage lasts, in seconds.")
    var hold = 3.0

    @Option(help: "Files of rules for Prometheus to evaluate.")
    var rules: [String] = []

    @Option(help: "The service's binary. (default: the daruma beside this program)")
    var daruma: String?

    func validate() throws {
        guard hold >= 1, hold <= 600 else { throw ValidationError("--hold is between 1 and 600 seconds") }
    }

    func run() async throws {
        let command = self
        try await LabExit.run { try await command.check() }
    }

    private func check() async throws {
        let binary = try daruma ?? ServiceProcess.darumaBinary()
        let isKept = try await PostgresSandbox.withSandbox { sandbox in
            let service = try await ServiceProcess.start(
                [binary, "serve", "--host", "127.0.0.1", "--port", "0"],
                environment: ["DATABASE_URL": sandbox.connectionURL()])
            let port = try await service.waitUntilListening()
            let metrics = await HTTPProbe.get("/metrics", port: port).body
            let problems = await PrometheusServer.problems(in: metrics)
            let prometheus = try await PrometheusServer.start(scraping: port, rules: rules)
            let outage = try await ObservedOutage.make(
                sandbox, seenBy: prometheus, hold: .milliseconds(Int64(hold * 1_000)))
            let verdicts =
                [
                    Check(
                        isKept: problems.isEmpty,
                        text: "promtool check metrics: \(problems.isEmpty ? "clean" : problems)")
                ]
                + outage.verdicts
            Reporter.tell(verdicts)
            try await prometheus.stop()
            try await service.stop()
            return verdicts.allSatisfy(\.isKept)
        }
        guard isKept else { throw LabExit.brokenPromise }
    }
}
