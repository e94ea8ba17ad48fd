import ArgumentParser
import FaultLab
import PostgresTestKit

/// The HTTP server under many clients.
struct HTTPScaleCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "http-scale",
        abstract:
            "Shows what many idle and many slow clients do to the service: to its answers, its memory, its descriptors.",
        discussion: """
            Starts a service of its own, without a database. First, clients that keep their connections come and go, \
            and / is measured with them and without, by turns. Then there are slow clients of every kind at once: a \
            header byte now and then, a body byte now and then, reading a byte now and then.

            The exit code is 0 if every promise held, 1 if one was broken.
            """)

    @Option(help: "Clients that keep their connections.")
    var idle = 10_000

    @Option(help: "Slow clients of each kind.")
    var slow = 1_000

    @Option(help: "How often the idle clients come and go.")
    var rounds = 3

    @Option(help: "The service's binary. (default: the daruma beside this program)")
    var daruma: String?

    func validate() throws {
        guard (1...100_000).contains(idle) else { throw ValidationError("--idle is between 1 and 100000") }
        guard (1...10_000).contains(slow) else { throw ValidationError("--slow is between 1 and 10000") }
        guard (1...100).contains(rounds) else { throw ValidationError("--rounds is between 1 and 100") }
    }

    func run() async throws {
        let command = self
        try await LabExit.run { try await command.show() }
    }

    private func show() async throws {
        var settings = HTTPScale.Settings()
        settings.idle = idle
        settings.slow = slow
        settings.rounds = rounds
        let scale = HTTPScale(settings, binary: try daruma ?? ServiceProcess.darumaBinary())
        Terminal.say(Terminal.coloured("\(idle) idle clients", .heading))
        let idleReport = try await scale.idle()
        tell(idleReport)
        Terminal.say(Terminal.coloured("\(slow) slow clients of each kind", .heading))
        let slowReport = try await scale.slow()
        tell(slowReport)
        guard idleReport.isKept, slowReport.isKept else { throw LabExit.brokenPromise }
    }

    private func tell(_ report: HTTPScale.Report) {
        for line in report.table { Terminal.say("  \(line)") }
        Reporter.tell(report.verdicts)
        Terminal.say()
    }
}
