import ArgumentParser
import FaultLab
import PostgresTestKit

/// The HTTP server under many clients.
struct HTTPScaleCommand: LabCommand {
    static let configuration = CommandConfiguration(
        commandName: "http-scale",
        abstract: "Measures answers, memory and descriptors of the service under many idle and many slow clients.",
        discussion: """
            Starts a service of its own, without a database. First idle clients connect and disconnect, and / is \
            measured with them and without, in alternation. Then slow clients of every kind connect at once: they \
            send a header byte, send a body byte or read a byte now and then.

            The exit status is 0 if the service kept every promise, and 1 if not.
            """)

    @Option(help: "The number of idle clients.")
    var idle = 10_000

    @Option(help: "The number of slow clients of each kind.")
    var slow = 1_000

    @Option(help: "How often the idle clients connect and disconnect.")
    var rounds = 3

    @Option(help: "The service's binary. (default: the daruma beside this program)")
    var daruma: String?

    func validate() throws {
        try require("--idle", idle, in: 1...100_000)
        try require("--slow", slow, in: 1...10_000)
        try require("--rounds", rounds, in: 1...100)
    }

    func perform() async throws {
        var settings = HTTPScale.Settings()
        settings.idle = idle
        settings.slow = slow
        settings.rounds = rounds
        let scale = HTTPScale(settings, binary: try daruma ?? ServiceProcess.darumaBinary())
        Terminal.print(Terminal.coloured("\(idle) idle clients", .heading))
        let idleReport = try await scale.idle()
        print(idleReport)
        Terminal.print(Terminal.coloured("\(slow) slow clients of each kind", .heading))
        let slowReport = try await scale.slow()
        print(slowReport)
        guard idleReport.isKept, slowReport.isKept else { throw LabExit.brokenPromise }
    }

    private func print(_ report: HTTPScale.Report) {
        for line in report.table { Terminal.print("  \(line)") }
        Reporter.print(report.checks)
        Terminal.print()
    }
}
