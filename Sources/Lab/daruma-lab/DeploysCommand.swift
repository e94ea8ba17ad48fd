import ArgumentParser
import FaultLab
import PostgresTestKit

/// What clients lose when the service is deployed.
struct DeploysCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "deploys",
        abstract: "Replaces the processes of a service one after the other, behind nginx and HAProxy and under load.",
        discussion: """
            Two processes share a port, by --reuse-port or by a socket that they are handed. A new one starts, an old one \
            is told to leave (SIGTERM), and so on. Each proxy has runs with the drain delay, which may lose no request, \
            and one without, to compare. The exit code is 1 if a request was lost with the delay.
            """)

    @Option(help: "How many processes are replaced in each run.")
    var restarts = 10

    @Option(help: "How many requests there are in each run, at least.")
    var requests = 200_000

    @Option(help: "The service's --drain-delay, in seconds. The default is what the manifests set.")
    var drainDelay = 5.0

    @Option(help: "How many clients ask, each on a connection of its own that it keeps.")
    var clients = 16

    func validate() throws {
        guard (1...1_000).contains(restarts) else { throw ValidationError("--restarts is between 1 and 1000") }
        guard (1...10_000_000).contains(requests) else {
            throw ValidationError("--requests is between 1 and 10 million")
        }
        guard drainDelay >= 0, drainDelay <= 60 else { throw ValidationError("--drain-delay is at most 60 seconds") }
        guard (1...256).contains(clients) else { throw ValidationError("--clients is between 1 and 256") }
    }

    func run() async throws {
        let command = self
        try await LabExit.run {
            var verdicts: [Check] = []
            for proxy in RollingRestarts.Proxy.allCases {
                let delay = Duration.milliseconds(Int64(command.drainDelay * 1000))
                let runs: [(RollingRestarts.Sharing, Duration)] = [
                    (.reusePort, delay), (.activation, delay), (.reusePort, .zero),
                ]
                for (sharing, delay) in runs {
                    let report = try await command.run(proxy, sharing, delay)
                    let kinds = report.failures.sorted { $0.key < $1.key }.map { "\($0.value) × \($0.key)" }
                    let words = kinds.isEmpty ? "" : " (\(kinds.joined(separator: ", ")))"
                    verdicts.append(
                        Check(
                            isKept: report.lost == 0 || delay == .zero,
                            text:
                                "\(proxy.rawValue), \(sharing.rawValue), drain delay \(delay.shown): \(report.lost) of \(report.requests) "
                                + "requests lost in \(command.restarts) restarts\(words); a process took at most "
                                + "\(report.slowestEnd.shown) to leave"))
                }
            }
            Terminal.say()
            Reporter.tell(verdicts)
            guard verdicts.allSatisfy(\.isKept) else { throw LabExit.brokenPromise }
        }
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
        Terminal.say(Terminal.coloured("\(proxy.rawValue), \(sharing.rawValue), drain delay \(delay.shown)", .faint))
        return try await RollingRestarts(settings) { Terminal.say(Terminal.coloured("  \($0)", .faint)) }.run()
    }
}
