import ArgumentParser
import FaultLab

/// Services on a cluster that Patroni operates, and its faults.
struct ClusterCommand: LabCommand {
    static let configuration = CommandConfiguration(
        commandName: "cluster",
        abstract: "Switches over, kills, freezes and cuts off the nodes of a Patroni cluster under running services.",
        discussion: """
            Starts an etcd, three nodes of Patroni and PostgreSQL, a HAProxy with Patroni's checks, and five services: \
            with all hosts in the connection string, with a dead host before them, with a grace of four seconds, with \
            prefer-standby, and behind HAProxy. It needs a network namespace of its own, which scripts/ha-check makes. \
            The exit status is 0 if the services kept every promise, and 1 if not.

            The faults: \(ClusterFault.all.map(\.name).joined(separator: ", ")).
            """)

    @Flag(help: "Only the short faults, which take about three minutes.")
    var quick = false

    @Option(
        parsing: .upToNextOption, help: "Only these faults, split by commas or spaces. (default: all)",
        transform: Self.faults)
    var only: [[ClusterFault]] = []

    func validate() throws {
        if quick && !only.isEmpty { throw ValidationError("--quick and --only exclude each other") }
    }

    func perform() async throws {
        var settings = ClusterCheck.Settings()
        if quick { settings.faults = ClusterFault.all.filter(\.isShort) }
        if !only.isEmpty { settings.faults = only.flatMap { $0 } }
        let report = try await ClusterCheck(settings) { Terminal.print(Terminal.coloured($0, .faint)) }.run()
        Terminal.print()
        for line in report.lines { Terminal.print(line) }
        Terminal.print()
        try Reporter.finish(report.checks)
    }

    private static func faults(_ names: String) throws -> [ClusterFault] {
        try names.split(separator: ",").map { name in
            guard let fault = ClusterFault.all.first(where: { $0.name == name }) else {
                throw ValidationError(
                    "no such fault: \(name); the faults are "
                        + ClusterFault.all.map(\.name).joined(separator: ", "))
            }
            return fault
        }
    }
}
