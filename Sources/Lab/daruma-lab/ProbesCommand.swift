import ArgumentParser
import FaultLab

/// The service's probes while its database stops and starts, as orchestrators see them.
struct ProbesCommand: LabCommand {
    static let configuration = CommandConfiguration(
        commandName: "probes",
        abstract: "Stops and starts the database while HAProxy, a kubelet and a load balancer probe the service.",
        discussion: """
            Starts a PostgreSQL, a service with --ready-requires-db, and a HAProxy in front of it, which must be \
            installed. The exit status is 0 if the service kept every promise, and 1 if not.
            """)

    @Option(help: "The number of plain stops and starts.")
    var rounds = 3

    @Option(help: "The length of each stop, in seconds.")
    var hold = 3.0

    @Option(help: "How long the database then flaps, in seconds, with phases of 0.2 to 2 s.")
    var flapping = 30.0

    @Option(help: "The seed of those phases. (default: random, and printed)")
    var seed: UInt64?

    func validate() throws {
        try require("--rounds", rounds, in: 1...1_000)
        try require("--hold", hold, in: 1...600)
        try require("--flapping", flapping, in: 0...3_600)
    }

    func perform() async throws {
        var settings = ProbeCheck.Settings()
        settings.rounds = rounds
        settings.hold = .seconds(option: hold)
        settings.flapping = .seconds(option: flapping)
        if let seed { settings.seed = seed }
        let report = try await ProbeCheck(settings) { Terminal.print(Terminal.coloured($0, .faint)) }.run()
        Terminal.print()
        for line in report.lines { Terminal.print(line) }
        Terminal.print()
        try Reporter.finish(report.checks)
    }
}
