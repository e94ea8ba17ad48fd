extension Program {
    /// The help text of a command, or of the program.
    ///
    /// - Parameter width: the length of a line, in characters.
    package func help(for command: Command?, width: Int) -> String {
        let common = [("--version", "Show the version."), ("-h, --help", "Show this help.")]
        var parts: [String]
        if let command {
            parts = [command.summary, "Usage: \(name) \(command.name) [options]", command.discussion]
            parts = parts.map { wrap($0, width: width) }
            parts.append("Options:\n" + table(command.options.map { ($0.usage, $0.help) } + common, width: width))
        } else {
            parts = [summary, "Usage: \(name) [command] [options]", discussion].map { wrap($0, width: width) }
            let rows = commands.map { command in
                (command.name, command == defaultCommand ? "\(command.summary) (default)" : command.summary)
            }
            parts.append("Commands:\n" + table(rows, width: width))
            parts.append("Options:\n" + table(common, width: width))
            parts.append("\(name) help <command> shows the options of a command.")
        }
        return parts.filter { !$0.isEmpty }.joined(separator: "\n\n")
    }

    /// Two columns. A name that is too long gets its own line.
    private func table(_ rows: [(name: String, meaning: String)], width: Int) -> String {
        let longest = rows.map(\.name.count).max() ?? 0
        let column = min(longest + 4, width * 2 / 5)
        return rows.map { row in
            let meaning = wrap(row.meaning, width: width, indent: column)
            let name = "  \(row.name)"
            guard name.count + 2 <= column else { return "\(name)\n\(meaning)" }
            return name + meaning.dropFirst(name.count)
        }.joined(separator: "\n")
    }

    /// Wraps and indents `text`. A no-break space (U+00A0) keeps two words on one line.
    private func wrap(_ text: String, width: Int, indent: Int = 0) -> String {
        var lines: [String] = []
        for word in text.split(separator: " ") {
            let shown = String(word.map { $0 == "\u{A0}" ? " " : $0 })
            if let last = lines.last, last.count + 1 + word.count <= width {
                lines[lines.count - 1] += " " + shown
            } else {
                lines.append(String(repeating: " ", count: indent) + shown)
            }
        }
        return lines.joined(separator: "\n")
    }
}
