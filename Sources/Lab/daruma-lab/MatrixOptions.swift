import ArgumentParser
import FaultLab

/// The options of `chaos` for the fault matrix.
struct MatrixOptions: ParsableArguments {
    @Flag(help: "Run the whole fault matrix, on databases and services of its own.")
    var all = false

    @Flag(help: "Run the whole matrix quickly: shorter outages, fewer rounds.")
    var quick = false

    @Option(help: "Run another service instead of daruma: a shell command that takes PORT and DATABASE_URL.")
    var command: String?

    @Option(help: "Write report.md and report.json to this folder.")
    var report: String?

    @Option(help: "Write fault-matrix-YYYY-MM-DD.md to this folder, for scripts/results.")
    var publish: String?

    @Option(help: "The port of the service. (default: a free port for each fault)")
    var port: UInt16?

    /// Whether the command line asks for the matrix and not for a running service.
    var areUsed: Bool { all || quick || command != nil || report != nil || publish != nil || port != nil }

    func run(_ faults: [Fault]) async throws {
        var settings = FaultMatrix.Settings()
        settings.command = command
        settings.port = port
        settings.isQuick = quick
        let matrix = FaultMatrix(settings)
        let host = HostInfo.current
        var matrixReport = MatrixReport([], subject: command ?? "daruma", isQuick: quick, host: host)
        for (number, fault) in faults.enumerated() {
            Terminal.print(
                Terminal.coloured("[\(number + 1)/\(faults.count)] \(fault.name)", .heading) + ": \(fault.title)")
            let row = try await matrix.run(fault)
            print(row)
            matrixReport.rows.append(row)
            // After each fault, so that an interrupted run leaves a report.
            if let report { try matrixReport.write(to: report) }
        }
        Terminal.print()
        for line in matrixReport.lines { Terminal.print(line) }
        Terminal.print(matrixReport.summary)
        if let report { Terminal.print("written: \(report)/report.md, report.json") }
        if let publish { Terminal.print("written: \(try await matrixReport.dated.publish(to: publish, on: host))") }
        guard matrixReport.isKept else { throw LabExit.brokenPromise }
    }

    private func print(_ row: FaultMatrix.Row) {
        switch row.result {
        case .skipped(let reason): Terminal.print("    \(Terminal.coloured("–", .event)) skipped: \(reason)")
        case .failed(let reason): Terminal.print("    \(Terminal.coloured("✗", .bad)) could not run: \(reason)")
        case .ran(let report): Reporter.print(report.checks)
        }
        for note in row.notes { Terminal.print("      \(note)") }
    }
}
