import PostgresTestKit

/// The results of a run of the matrix, as text, Markdown and JSON.
package struct MatrixReport: Sendable {
    package var rows: [FaultMatrix.Row]
    /// The service: "daruma", or the command.
    package let subject: String
    package let isQuick: Bool
    package let host: HostInfo

    package init(_ rows: [FaultMatrix.Row], subject: String, isQuick: Bool, host: HostInfo = .current) {
        self.rows = rows
        self.subject = subject
        self.isQuick = isQuick
        self.host = host
    }

    package var isKept: Bool { rows.allSatisfy(\.isKept) }
    /// Whether it has a row for each fault.
    private var isWhole: Bool { Set(rows.map(\.fault.name)).isSuperset(of: Fault.all.map(\.name)) }

    private var broken: [FaultMatrix.Row] { rows.filter { !$0.isKept } }
    private var skipped: [FaultMatrix.Row] { rows.filter(\.isSkipped) }

    /// One line.
    package var summary: String {
        let kept = rows.count - broken.count - skipped.count
        var text = "every promise kept under \(kept) of \(rows.count) faults"
        for (word, group) in [("broken", broken), ("skipped", skipped)] where !group.isEmpty {
            text += "; \(word): \(group.map(\.fault.name).joined(separator: ", "))"
        }
        return text
    }

    /// Writes `report.md` and `report.json`. Creates the folder if it is missing.
    package func write(to folder: String) throws {
        try Files.makeFolder(folder, mode: 0o755)
        try Files.write(markdown, to: "\(folder)/report.md", mode: 0o644)
        try Files.write(json, to: "\(folder)/report.json", mode: 0o644)
    }

    // MARK: Text and Markdown

    private static let heading = [
        "fault", "`/` bad", "`/` p99", "undisturbed", "`/ping`", "bad", "worst", "p99 down", "back after", "sockets",
        "descriptors", "threads", "kept",
    ]

    private static func cells(_ row: FaultMatrix.Row) -> [String] {
        guard case .ran(let report) = row.result else {
            return [row.fault.name] + Array(repeating: "", count: heading.count - 2)
                + [row.isSkipped ? "skipped" : "FAILED"]
        }
        let figures = report.figures
        let isOutage = if case .outage = row.fault.expectation { true } else { false }
        func change(_ value: (ProcessUsage) -> Int) -> String {
            let (before, after) = (report.usageBefore.map(value), report.usageAfter.map(value))
            return "\(before.map { "\($0)" } ?? "–") → \(after.map { "\($0)" } ?? "–")"
        }
        return [
            row.fault.name, "\(figures.rootFailing)", figures.rootP99.shown, figures.rootP99Quiet.shown,
            "\(figures.pingCount)", "\(figures.pingFailing)", figures.pingWorst.shown,
            isOutage && figures.knownDownCount > 0 ? figures.knownDownP99.shown : "–",
            figures.pingFailing > 0 ? figures.recovery?.shown ?? "never" : "–",
            report.peakConnections.map { "\($0)" } ?? "–",
            change(\.fileDescriptors), change(\.threads), report.allKept ? "yes" : "**NO**",
        ]
    }

    private var table: TextTable { TextTable(Self.heading, rows.map(Self.cells)) }

    /// The table for the terminal.
    package var lines: [String] {
        func plain(_ cells: [String]) -> [String] { cells.map { $0.filter { $0 != "`" && $0 != "*" } } }
        return TextTable(plain(table.heading), table.rows.map(plain)).lines
    }

    /// The table, and below it every check of every fault.
    package var markdown: String {
        var text = "# The fault matrix\n\n\(headline)\n\n\(table.markdown)"
        for row in rows {
            let ending = row.fault.ending.map { "; \($0)" } ?? ""
            text += "\n## \(row.fault.name)\n\n\(row.fault.title)\(ending).\n\n"
            switch row.result {
            case .skipped(let reason): text += "- skipped: \(reason)\n"
            case .failed(let reason): text += "- could not run: \(reason)\n"
            case .ran(let report):
                for check in report.checks { text += "- \(check.isKept ? "✓" : "✗ **broken**:") \(check.text)\n" }
            }
            for note in row.notes { text += "- \(note)\n" }
        }
        return text
    }

    private var headline: String { "\(subject), \(host.time)\(isQuick ? ", in a hurry (--quick)" : ""): \(summary)." }

    /// The result for `scripts/results`: the table, its legend, and the broken promises. A part of the matrix has a name
    /// of its own, so that it never replaces the result of a whole run.
    package var dated: DatedReport {
        var body = headline + "\n\n" + Self.legend + "\n" + table.markdown
        if !broken.isEmpty { body += "\n## Not kept\n\n" }
        for row in broken {
            switch row.result {
            case .ran(let report):
                let texts = report.checks.filter { !$0.isKept }.map(\.text)
                body += "- `\(row.fault.name)`: \(texts.joined(separator: "; "))\n"
            case .failed(let reason), .skipped(let reason): body += "- `\(row.fault.name)` could not run: \(reason)\n"
            }
        }
        var command = "scripts/chaos"
        if isWhole && !isQuick { command += " --all" }
        if isQuick { command += " --quick" }
        if !isWhole { command += " --only " + rows.map(\.fault.name).joined(separator: ",") }
        return DatedReport(
            name: isWhole ? "fault-matrix" : "fault-matrix-part",
            title: isWhole ? "The fault matrix" : "A part of the fault matrix", command: command, body: body)
    }

    private static let legend = """
        The columns:

        - **`/` bad**, **`/` p99**, **undisturbed**: failed answers to `/`; the p99 of `/` during the fault and before it.
        - **bad**: answers to `/ping` other than 200.
        - **worst**: the slowest answer to `/ping`.
        - **p99 down**: the p99 of `/ping` once the service knows about the outage.
        - **back after**: the time from the first login that works to the first good `/ping`.
        - **sockets**: the most connections to the database at a time.
        - **descriptors**, **threads**: before and after the fault.

        """

    // MARK: JSON

    package var json: String {
        let object = JSONText.object([
            ("subject", .text(subject)), ("date", .text(host.time)), ("quick", .bool(isQuick)),
            ("kept", .bool(isKept)), ("faults", .array(rows.map(Self.describe))),
        ])
        return object.text + "\n"
    }

    private static func describe(_ row: FaultMatrix.Row) -> JSONText {
        func count(_ value: Int) -> JSONText { .number(Double(value)) }
        func time(_ value: Duration) -> JSONText { .number(value.fractionalMilliseconds) }
        var members: [(String, JSONText)] = [
            ("name", .text(row.fault.name)), ("title", .text(row.fault.title)), ("kept", .bool(row.isKept)),
            ("seconds", .number(row.duration.fractionalMilliseconds / 1000)),
            ("notes", .array(row.notes.map(JSONText.text))),
        ]
        switch row.result {
        case .skipped(let reason): members.append(("skipped", .text(reason)))
        case .failed(let reason): members.append(("failed", .text(reason)))
        case .ran(let report):
            let figures = report.figures
            members += [
                ("root", count(figures.rootCount)), ("rootFailing", count(figures.rootFailing)),
                ("rootP99Milliseconds", time(figures.rootP99)),
                ("rootP99QuietMilliseconds", time(figures.rootP99Quiet)),
                ("ping", count(figures.pingCount)), ("pingFailing", count(figures.pingFailing)),
                ("pingUnanswered", count(figures.pingUnanswered)),
                ("pingWorstMilliseconds", time(figures.pingWorst)),
                ("codes", .array(figures.codes.map(JSONText.text))),
                ("knownDown", count(figures.knownDownCount)),
                ("knownDownP99Milliseconds", time(figures.knownDownP99)),
                ("recoveryMilliseconds", figures.recovery.map(time) ?? .null),
                ("failingAfterRecovery", count(figures.failingAfterRecovery)),
                ("peakConnections", report.peakConnections.map(count) ?? .null),
                ("before", describe(report.usageBefore)), ("after", describe(report.usageAfter)),
                ("promises", .array(report.checks.map(describe))),
            ]
        }
        return .object(members)
    }

    private static func describe(_ check: Check) -> JSONText {
        .object([("kept", .bool(check.isKept)), ("timing", .bool(check.isTiming)), ("text", .text(check.text))])
    }

    private static func describe(_ usage: ProcessUsage?) -> JSONText {
        guard let usage else { return .null }
        return .object([
            ("descriptors", .number(Double(usage.fileDescriptors))), ("threads", .number(Double(usage.threads))),
            ("residentKilobytes", .number(Double(usage.residentKilobytes))),
        ])
    }
}
