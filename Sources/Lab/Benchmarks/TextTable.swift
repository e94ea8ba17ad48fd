/// Rows of cells, shown in columns: the first to the left, figures to the right.
package struct TextTable: Sendable {
    package var heading: [String]
    package var rows: [[String]] = []

    package init(_ heading: [String]) { self.heading = heading }

    /// For the terminal.
    package var lines: [String] {
        let all = [heading] + rows
        let widths = heading.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            let cells = row.indices.map { column in
                let padding = String(repeating: " ", count: widths[column] - row[column].count)
                return column == 0 ? row[column] + padding : padding + row[column]
            }
            return cells.joined(separator: "  ")
        }
    }

    /// For a README.
    package var markdown: String {
        let rule = "|" + heading.indices.map { $0 == 0 ? "---|" : "---:|" }.joined()
        let lines = ([heading] + rows).map { "| " + $0.joined(separator: " | ") + " |" }
        return ([lines[0], rule] + lines.dropFirst()).joined(separator: "\n") + "\n"
    }
}
