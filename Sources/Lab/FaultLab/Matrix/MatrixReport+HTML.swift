import Glibc
import PostgresTestKit

extension MatrixReport {
    /// One page without a dependency: a table, and for each fault a picture of what clients saw.
    package var html: String {
        var body = "<h1>The fault matrix</h1>\n<p>\(escaped(subject)), \(date): \(escaped(summary)).</p>\n"
        body +=
            "<table><tr>"
            + Self.heading.map { "<th>\(escaped($0.filter { $0 != "`" }))</th>" }.joined() + "</tr>\n"
        for row in rows {
            let cells = Self.cells(row).map { escaped($0.filter { $0 != "*" }) }
            let name = "<td><a href=\"#\(row.fault.name)\">\(cells[0])</a></td>"
            body +=
                "<tr class=\"\(row.isKept ? "kept" : "broken")\">\(name)"
                + cells.dropFirst().map { "<td>\($0)</td>" }.joined() + "</tr>\n"
        }
        body += "</table>\n"
        for row in rows { body += section(row) }
        return """
            <!DOCTYPE html>
            <html lang="en"><head><meta charset="utf-8"><title>The fault matrix</title>
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <style>\(Self.style)</style></head>
            <body>
            \(body)</body></html>

            """
    }

    private static let style = """
        body { font: 15px/1.45 system-ui, sans-serif; max-width: 1000px; margin: 2em auto; padding: 0 1em; }
        table { border-collapse: collapse; font-size: 13px; } td, th { padding: 3px 8px; text-align: right; }
        td:first-child, th:first-child { text-align: left; } tr:nth-child(even) { background: #f4f4f2; }
        .broken td:last-child, .no { color: #b3261e; font-weight: 600; } .kept td:last-child { color: #1b6e3c; }
        svg { width: 100%; height: auto; display: block; margin: .5em 0; } ul { list-style: none; padding-left: 0; }
        svg text { font: 10px system-ui, sans-serif; fill: #555; }
        """

    private func section(_ row: FaultMatrix.Row) -> String {
        let ending = row.fault.ending.map { "; \($0)" } ?? ""
        var text = "<h2 id=\"\(row.fault.name)\">\(row.fault.name)</h2>\n<p>\(escaped(row.fault.title + ending)).</p>\n"
        var lines: [String] = []
        switch row.outcome {
        case .skipped(let reason): lines = ["skipped: \(escaped(reason))"]
        case .failed(let reason): lines = ["<span class=\"no\">could not be run: \(escaped(reason))</span>"]
        case .ran(let report):
            text += TimelinePicture(row.timeline).svg
            lines = report.verdicts.map {
                $0.isKept ? "✓ \(escaped($0.text))" : "<span class=\"no\">✗ \(escaped($0.text))</span>"
            }
        }
        lines += row.notes.map(escaped)
        return text + "<ul>" + lines.map { "<li>\($0)</li>" }.joined() + "</ul>\n"
    }
}

/// HTML's quoting of a text.
private func escaped(_ text: String) -> String {
    text.map { character in
        switch character {
        case "&": "&amp;"
        case "<": "&lt;"
        case ">": "&gt;"
        case "\"": "&quot;"
        default: String(character)
        }
    }.joined()
}

/// A timeline as a picture: time to the right, latency (logarithmic) upward, a strip per path for the
/// answers' kind, the time of the fault shaded.
struct TimelinePicture {
    private let timeline: Timeline

    init(_ timeline: Timeline) { self.timeline = timeline }

    private static let width = 960.0
    private static let left = 60.0
    private static let columns = 450
    private static let paths = [(path: "/", colour: "#1a5fb4"), (path: "/ping", colour: "#e66100")]

    /// What the exchanges that began in one column of the picture have in common.
    private struct Column {
        var worst = 0.0
        var good = 0
        var bad = 0
    }

    var svg: String {
        let exchanges = Self.paths.map { timeline.exchanges(on: $0.path) }
        let marks = timeline.marks
        guard let begin = exchanges.compactMap({ $0.first?.begin }).min(),
            let end = exchanges.compactMap({ $0.map(\.end).max() }).max(), end > begin
        else { return "" }
        let total = (end - begin).milliseconds
        func x(_ at: ContinuousClock.Instant) -> Double {
            Self.left + (at - begin).milliseconds / total * (Self.width - Self.left)
        }
        var text = "<svg viewBox=\"0 0 \(Int(Self.width)) 200\" role=\"img\">\n"
        if let first = marks.first, let last = marks.last {
            let from = x(first.at)
            text +=
                "<rect x=\"\(short(from))\" y=\"14\" width=\"\(short(max(1, x(last.at) - from)))\" height=\"166\" "
                + "fill=\"#f6d8d5\"><title>\(escaped(first.text))</title></rect>\n"
            text += "<text x=\"\(short(from))\" y=\"10\">\(escaped(first.text))</text>\n"
        }
        for milliseconds in [0.1, 1, 10, 100, 1000] {
            let y = Self.y(milliseconds)
            text +=
                "<line x1=\"\(Self.left)\" x2=\"\(Self.width)\" y1=\"\(short(y))\" y2=\"\(short(y))\" "
                + "stroke=\"#ddd\"/><text x=\"0\" y=\"\(short(y + 3))\">\(short(milliseconds)) ms</text>\n"
        }
        for (index, series) in Self.paths.enumerated() {
            let columns = columns(exchanges[index], begin, total)
            let step = (Self.width - Self.left) / Double(Self.columns)
            var points: [String] = []
            let strip = 152.0 + Double(index) * 14
            text += "<text x=\"0\" y=\"\(short(strip + 9))\">\(series.path)</text>\n"
            for (number, column) in columns.enumerated() where column.good + column.bad > 0 {
                let left = Self.left + Double(number) * step
                points.append("\(short(left)),\(short(Self.y(column.worst)))")
                let colour = column.bad == 0 ? "#57a773" : column.good == 0 ? "#c0392b" : "#e0a030"
                text +=
                    "<rect x=\"\(short(left))\" y=\"\(strip)\" width=\"\(short(step + 0.2))\" height=\"11\" "
                    + "fill=\"\(colour)\"/>\n"
            }
            text +=
                "<polyline fill=\"none\" stroke=\"\(series.colour)\" stroke-width=\"1.2\" "
                + "points=\"\(points.joined(separator: " "))\"/>\n"
        }
        text += "<text x=\"\(Self.left)\" y=\"196\">0 s</text>"
        text += "<text x=\"\(Self.width)\" y=\"196\" text-anchor=\"end\">\(short(total / 1000)) s</text>\n"
        return text + "</svg>\n"
    }

    private func columns(
        _ exchanges: [HTTPExchange], _ begin: ContinuousClock.Instant, _ total: Double
    ) -> [Column] {
        var columns = [Column](repeating: Column(), count: Self.columns)
        for exchange in exchanges {
            let place = (exchange.begin - begin).milliseconds / total * Double(Self.columns)
            let number = min(Self.columns - 1, max(0, Int(place)))
            columns[number].worst = max(columns[number].worst, exchange.latency.milliseconds)
            if exchange.isGood { columns[number].good += 1 } else { columns[number].bad += 1 }
        }
        return columns
    }

    /// 0.1 ms at the foot, 5 s at the top.
    private static func y(_ milliseconds: Double) -> Double {
        let decades = log10(max(0.1, milliseconds)) + 1
        return 145 - decades / 4.7 * 128
    }

    /// A coordinate with one digit after the point.
    private func short(_ value: Double) -> String {
        let text = "\((value * 10).rounded() / 10)"
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }
}
