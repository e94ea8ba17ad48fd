import ArgumentParser
import FaultLab

/// Counts the requests that clients lose when the service is deployed.
struct DeploysCommand: LabCommand {
    static let configuration = CommandConfiguration(
        commandName: "deploys",
        abstract: "Replaces the processes of a service one after the other, behind nginx and HAProxy and under load.",
        discussion: """
            Two processes share a port, by --reuse-port or by an inherited socket. A new one starts, an old one gets \
            SIGTERM, and so on. Each proxy has runs with the drain delay, which may lose no request, and one without, \
            for comparison. The exit status is 1 if a request was lost with the delay.
            """)

    @Option(help: "The number of replaced processes in each run.")
    var restarts = 10

    @Option(help: "The least number of requests in each run.")
    var requests = 200_000

    @Option(help: "The service's --drain-delay, in seconds. The default is the manifests' value.")
    var drainDelay = 5.0

    @Option(help: "The number of clients, each on a connection of its own.")
    var clients = 16

    func validate() throws {
        try require("--restarts", restarts, in: 1...1_000)
        try require("--requests", requests, in: 1...10_000_000)
        try require("--drain-delay", drainDelay, in: 0...60)
        try require("--clients", clients, in: 1...256)
    }

    func perform() async throws {
        var checks: [Check] = []
        let delay = Duration.seconds(option: drainDelay)
        let runs: [(RollingRestarts.Sharing, Duration)] = [
            (.reusePort, delay), (.activation, delay), (.reusePort, .zero),
        ]
        for proxy in RollingRestarts.Proxy.allCases {
            for (sharing, delay) in runs {
                let name = "\(proxy.rawValue), \(sharing.rawValue), drain delay \(delay.shown)"
                Terminal.print(Terminal.coloured(name, .faint))
                let report = try await run(proxy, sharing, delay)
                let kinds = report.failures.sorted { $0.key < $1.key }.map { "\($0.value) × \($0.key)" }
                let details = kinds.isEmpty ? "" : " (\(kinds.joined(separator: ", ")))"
                checks.append(
                    Check(
                        isKept: report.lost == 0 || delay == .zero,
                        text: "\(name): \(report.lost) of \(report.requests) requests lost in \(restarts) restarts"
                            + "\(details); the slowest process ended after \(report.slowestEnd.shown)"))
            }
        }
        Terminal.print()
        try Reporter.finish(checks)
    }

    private func run(
        _ proxy: RollingRestarts.Proxy, _ sharing: RollingRestarts.Sharing, _ delay: Duration
    ) async throws -> RollingRestarts.Report {
        var settings = RollingRestarts.Settings()
        settings.sharing = sharing
        settings.proxy = proxy
        settings.drainDelay = delay
        settings.restarts = restarts
        settings.clients = clients
        settings.requests = requests
        return try await RollingRestarts(settings) { Terminal.print(Terminal.coloured("  \($0)", .faint)) }.run()
    }
}
