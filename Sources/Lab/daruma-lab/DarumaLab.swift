import ArgumentParser

/// The lab's command line. It can stop databases, so the production image does not contain it.
@main
struct DarumaLab: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "daruma-lab",
        abstract: "Stops, kills and freezes PostgreSQL under a running service, reports the effects, and measures.",
        subcommands: [
            DemoCommand.self, ChaosCommand.self, DatabaseCommand.self, ProbesCommand.self, ViewersCommand.self,
            HTTPScaleCommand.self, PrometheusCommand.self, ReaderCommand.self, DeploysCommand.self, ClusterCommand.self,
            BenchCommand.self,
        ])
}
