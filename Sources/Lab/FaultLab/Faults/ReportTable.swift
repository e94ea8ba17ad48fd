import PostgresTestKit

/// The figures of many runs, one line each, in columns.
package struct ReportTable: Sendable {
    package let lines: [String]

    package init(_ reports: [FaultRun.Report]) {
        let heading = [
            "fault", "/ bad", "/ p99", "/ping", "bad", "first bad", "worst", "p99 down", "back after", "fds", "MB",
            "kept",
        ]
        lines = columns([heading] + reports.map(Self.row))
    }

    private static func row(_ report: FaultRun.Report) -> [String] {
        let figures = report.figures
        let before = report.usageBefore
        let after = report.usageAfter
        return [
            report.fault.name, "\(figures.rootFailing)", figures.rootP99.shown, "\(figures.pingCount)",
            "\(figures.pingFailing)", figures.firstFailing?.shown ?? "-", figures.pingWorst.shown,
            figures.knownDownCount > 0 ? figures.knownDownP99.shown : "-", figures.recovery?.shown ?? "never",
            before.flatMap { before in after.map { "\(before.fileDescriptors)→\($0.fileDescriptors)" } } ?? "-",
            after.map { "\($0.residentKilobytes / 1024)" } ?? "-", report.allKept ? "yes" : "NO",
        ]
    }
}

extension MatrixReport {
    /// The table for the terminal.
    package var lines: [String] {
        columns(
            ([Self.heading] + rows.map(Self.cells)).map { $0.map { cell in cell.filter { $0 != "`" && $0 != "*" } } })
    }
}

/// Rows of cells as lines, in columns: the first to the left, the others to the right.
func columns(_ rows: [[String]]) -> [String] {
    let widths = (rows.first ?? []).indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    return rows.map { row in
        row.indices.map { column in
            let padding = String(repeating: " ", count: widths[column] - row[column].count)
            return column == 0 ? row[column] + padding : padding + row[column]
        }.joined(separator: "  ")
    }
}
