/// Rows of cells in columns: the first column is left-aligned, the others are right-aligned.
package struct TextTable: Sendable {
    package var heading: [String]
    package var rows: [[String]]

    package init(_ heading: [String], _ rows: [[String]] = []) {
        self.heading = heading
        self.rows = rows
    }

    /// For the terminal.
    package var lines: [String] {
        let all = [heading] + rows
        let widths = heading.indices.map { column in all.map { $0[column].count }.max() ?? 0 }
        return all.map { row in
            row.indices.map { column in
                let padding = String(repeating: " ", count: widths[column] - row[column].count)
                return column == 0 ? row[column] + padding : padding + row[column]
            }.joined(separator: "  ")
        }
    }

    package var markdown: String {
        let rule = "|" + heading.indices.map { $0 == 0 ? "---|" : "---:|" }.joined()
        let lines = ([heading] + rows).map { "| " + $0.joined(separator: " | ") + " |" }
        return ([lines[0], rule] + lines.dropFirst()).joined(separator: "\n") + "\n"
    }
}
