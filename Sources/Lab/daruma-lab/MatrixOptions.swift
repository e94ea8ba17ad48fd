import ArgumentParser
import FaultLab
import Glibc

/// The part of `chaos` that runs the fault matrix on a database and a service of its own.
struct MatrixOptions: ParsableArguments {
    @Flag(help: "Run the whole fault matrix, on a database and a service of its own.")
    var all = false

    @Flag(help: "Run the whole matrix in a hurry: shorter outages, fewer rounds.")
    var quick = false

    @Option(
        help: "Run a service of yours instead of daruma: a shell command that takes PORT and DATABASE_URL.")
    var command: String?

    @Option(help: "Write report.md, report.json and report.html to this folder.")
    var report: String?

    @Option(help: "Where the service under the matrix listens. (default: a free port for each fault)")
    var port: UInt16?

    /// Whether the matrix is meant at all, and not a running service.
    var areUsed: Bool { all || quick || command != nil || report != nil || port != nil }

    func run(_ faults: [Fault]) async throws {
        var settings = FaultMatrix.Settings()
        settings.command = command
        settings.port = port
        settings.isQuick = quick
        let matrix = FaultMatrix(settings)
        let subject = command ?? "daruma"
        var rows: [FaultMatrix.Row] = []
        for (number, fault) in faults.enumerated() {
            Terminal.say(
                Terminal.coloured("[\(number + 1)/\(faults.count)] \(fault.name)", .heading) + ": \(fault.title)")
            let row = try await matrix.run(fault)
            tell(row)
            rows.append(row)
            // After each, so that a run that is interrupted has something to show.
            if let report { try MatrixReport(rows, subject: subject, isQuick: quick).write(to: report) }
        }
        let report = MatrixReport(rows, subject: subject, isQuick: quick)
        Terminal.say()
        for line in report.lines { Terminal.say(line) }
        Terminal.say(report.summary)
        if let folder = self.report { Terminal.say("written: \(folder)/report.md, report.json, report.html") }
        guard report.isKept else { throw LabExit.brokenPromise }
    }

    private func tell(_ row: FaultMatrix.Row) {
        switch row.outcome {
        case .skipped(let reason): Terminal.say("    \(Terminal.coloured("–", .event)) skipped: \(reason)")
        case .failed(let reason):
            Terminal.say("    \(Terminal.coloured("✗", .bad)) could not be run: \(reason)")
        case .ran(let report): Reporter.tell(report.verdicts)
        }
        for note in row.notes { Terminal.say("      \(note)") }
    }
}
