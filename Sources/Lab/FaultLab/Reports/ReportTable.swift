import PostgresTestKit

/// The figures of many runs, one line each.
package struct ReportTable: Sendable {
    package let lines: [String]

    package init(_ reports: [FaultRun.Report]) {
        let heading = [
            "fault", "/ bad", "/ p99", "/ping", "bad", "first bad", "worst", "p99 down", "back after", "fds", "MB",
            "kept",
        ]
        lines = TextTable(heading, reports.map(Self.row)).lines
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
