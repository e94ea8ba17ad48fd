import Glibc
import PostgresTestKit

/// The rows of a run of the matrix, for people and for machines.
package struct MatrixReport: Sendable {
    package let rows: [FaultMatrix.Row]
    /// What was run: "daruma", or the command.
    package let subject: String
    package let isQuick: Bool
    /// When, as in ISO 8601.
    package let date: String

    package init(_ rows: [FaultMatrix.Row], subject: String, isQuick: Bool) {
        self.rows = rows
        self.subject = subject
        self.isQuick = isQuick
        var now = time(nil)
        var parts = tm()
        gmtime_r(&now, &parts)
        var bytes = [CChar](repeating: 0, count: 32)
        strftime(&bytes, bytes.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
        date = String(decoding: bytes.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    package var isKept: Bool { rows.allSatisfy(\.isKept) }

    /// One line on the whole.
    package var summary: String {
        var kept = 0
        var broken: [String] = []
        var skipped: [String] = []
        for row in rows {
            if case .skipped = row.outcome {
                skipped.append(row.fault.name)
            } else if row.isKept {
                kept += 1
            } else {
                broken.append(row.fault.name)
            }
        }
        var text = "every promise kept under \(kept) of \(rows.count) faults"
        if !broken.isEmpty { text += "; broken: \(broken.joined(separator: ", "))" }
        if !skipped.isEmpty { text += "; skipped: \(skipped.joined(separator: ", "))" }
        return text
    }

    /// Writes `report.md`, `report.json` and `report.html`. The folder is made if it is missing.
    package func write(to folder: String) throws {
        try Files.makeFolder(folder, mode: 0o755)
        try Files.write(markdown, to: "\(folder)/report.md", mode: 0o644)
        try Files.write(json, to: "\(folder)/report.json", mode: 0o644)
        try Files.write(html, to: "\(folder)/report.html", mode: 0o644)
    }

    // MARK: For reading

    static let heading = [
        "fault", "`/` bad", "`/` p99", "quiet", "`/ping`", "bad", "worst", "p99 down", "back after", "sockets",
        "fds", "threads", "kept",
    ]

    static func cells(_ row: FaultMatrix.Row) -> [String] {
        guard case .ran(let report) = row.outcome else {
            let word = if case .skipped = row.outcome { "skipped" } else { "FAILED" }
            return [row.fault.name] + Array(repeating: "", count: heading.count - 2) + [word]
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

    /// GitHub's tables, and below them what was broken or skipped, by name.
    package var markdown: String {
        func line(_ cells: [String]) -> String { "| \(cells.joined(separator: " | ")) |\n" }
        var text =
            "# The fault matrix\n\n\(subject), \(date)\(isQuick ? ", in a hurry (--quick)" : ""): \(summary).\n\n"
        text += line(Self.heading) + line(Self.heading.map { _ in "---" })
        for row in rows { text += line(Self.cells(row)) }
        for row in rows {
            text += "\n## \(row.fault.name)\n\n\(row.fault.title)"
            if let ending = row.fault.ending { text += "; \(ending)" }
            text += ".\n\n"
            switch row.outcome {
            case .skipped(let reason): text += "- skipped: \(reason)\n"
            case .failed(let reason): text += "- could not be run: \(reason)\n"
            case .ran(let report):
                for verdict in report.verdicts {
                    text += "- \(verdict.isKept ? "✓" : "✗ **broken**:") \(verdict.text)\n"
                }
            }
            for note in row.notes { text += "- \(note)\n" }
        }
        return text
    }

    // MARK: For machines

    package var json: String {
        let object = JSONText.object([
            ("subject", .text(subject)), ("date", .text(date)), ("quick", .bool(isQuick)), ("kept", .bool(isKept)),
            ("faults", .array(rows.map(Self.describe))),
        ])
        return object.text + "\n"
    }

    private static func describe(_ row: FaultMatrix.Row) -> JSONText {
        var members: [(String, JSONText)] = [
            ("name", .text(row.fault.name)), ("title", .text(row.fault.title)), ("kept", .bool(row.isKept)),
            ("seconds", .number(row.duration.milliseconds / 1000)), ("notes", .array(row.notes.map(JSONText.text))),
        ]
        switch row.outcome {
        case .skipped(let reason): members.append(("skipped", .text(reason)))
        case .failed(let reason): members.append(("failed", .text(reason)))
        case .ran(let report):
            let figures = report.figures
            members += [
                ("root", .number(Double(figures.rootCount))), ("rootFailing", .number(Double(figures.rootFailing))),
                ("rootP99Milliseconds", .number(figures.rootP99.milliseconds)),
                ("rootP99QuietMilliseconds", .number(figures.rootP99Quiet.milliseconds)),
                ("ping", .number(Double(figures.pingCount))), ("pingFailing", .number(Double(figures.pingFailing))),
                ("pingUnanswered", .number(Double(figures.pingUnanswered))),
                ("pingWorstMilliseconds", .number(figures.pingWorst.milliseconds)),
                ("codes", .array(figures.codes.map(JSONText.text))),
                ("knownDown", .number(Double(figures.knownDownCount))),
                ("knownDownP99Milliseconds", .number(figures.knownDownP99.milliseconds)),
                ("recoveryMilliseconds", figures.recovery.map { .number($0.milliseconds) } ?? .null),
                ("failingAfterRecovery", .number(Double(figures.failingAfterRecovery))),
                ("peakConnections", report.peakConnections.map { .number(Double($0)) } ?? .null),
                ("before", describe(report.usageBefore)), ("after", describe(report.usageAfter)),
                (
                    "promises",
                    .array(
                        report.verdicts.map {
                            .object([
                                ("kept", .bool($0.isKept)), ("timing", .bool($0.isTiming)), ("text", .text($0.text)),
                            ])
                        })
                ),
            ]
        }
        return .object(members)
    }

    private static func describe(_ usage: ProcessUsage?) -> JSONText {
        guard let usage else { return .null }
        return .object([
            ("descriptors", .number(Double(usage.fileDescriptors))), ("threads", .number(Double(usage.threads))),
            ("residentKilobytes", .number(Double(usage.residentKilobytes))),
        ])
    }
}

/// As much of JSON as a report is written in.
indirect enum JSONText: Sendable {
    case null
    case bool(Bool)
    case number(Double)
    case text(String)
    case array([JSONText])
    case object([(String, JSONText)])

    var text: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .number(let value):
            value == value.rounded() && abs(value) < 1e15 ? "\(Int(value))" : "\((value * 1000).rounded() / 1000)"
        case .text(let value): Self.quoted(value)
        case .array(let values): "[\(values.map(\.text).joined(separator: ", "))]"
        case .object(let members):
            "{\(members.map { "\(Self.quoted($0)): \($1.text)" }.joined(separator: ", "))}"
        }
    }

    private static func quoted(_ value: String) -> String {
        var text = "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "\n": text += "\\n"
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
        return text + "\""
    }
}
