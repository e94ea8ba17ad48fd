import ArgumentParser
import FaultLab
import PostgresTestKit

/// Orchestrators and what they see of a service whose database comes and goes.
struct ProbesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "probes",
        abstract: "Stops and starts the database under the eyes of HAProxy, a kubelet and a load balancer.",
        discussion: """
            Makes a PostgreSQL, a service with --ready-requires-db, and a HAProxy in front of it, which has to be \
            installed. The exit code is 0 if every promise held, 1 if one was broken.
            """)

    @Option(help: "How many plain stops and starts.")
    var rounds = 3

    @Option(help: "How long each of them lasts, in seconds.")
    var hold = 3.0

    @Option(help: "For how many seconds it then comes and goes, 0.2 to 2 s at a time.")
    var flapping = 30.0

    @Option(help: "The seed of those times. (default: random, and printed)")
    var seed: UInt64?

    func validate() throws {
        guard (1...1000).contains(rounds) else { throw ValidationError("--rounds is between 1 and 1000") }
        guard hold >= 1, hold <= 600 else { throw ValidationError("--hold is between 1 and 600 seconds") }
        guard flapping >= 0, flapping <= 3600 else { throw ValidationError("--flapping is at most 3600 seconds") }
    }

    func run() async throws {
        var settings = ProbeCheck.Settings()
        settings.rounds = rounds
        settings.hold = .milliseconds(Int64(hold * 1000))
        settings.flapping = .milliseconds(Int64(flapping * 1000))
        if let seed { settings.seed = seed }
        let check = ProbeCheck(settings) { Terminal.say(Terminal.coloured($0, .faint)) }
        try await LabExit.run {
            let report = try await check.run()
            Terminal.say()
            for line in report.lines { Terminal.say(line) }
            Terminal.say()
            Reporter.tell(report.verdicts)
            guard report.isKept else { throw LabExit.brokenPromise }
        }
    }
}
