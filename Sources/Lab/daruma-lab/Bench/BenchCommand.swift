import ArgumentParser

struct BenchCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measures the service, the pool and the parser, and compares them with others.",
        subcommands: [
            CompareCommand.self, CostGateCommand.self, BalancerCommand.self, PipelineCommand.self, ClientCommand.self,
            GrowthCommand.self,
            StartupCommand.self, SoakCommand.self, SyscallsCommand.self, WorkloadCommand.self,
        ])
}
