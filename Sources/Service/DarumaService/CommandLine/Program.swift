/// A program and its command line: `program [command] [--option value] [--option=value]`.
package struct Program: Sendable {
    package let name: String
    /// One sentence for `--help`.
    package let summary: String
    /// Further text for `--help`.
    package let discussion: String
    package let version: String
    package let commands: [Command]
    /// The command that runs when the arguments name none.
    package let defaultCommand: Command

    /// - Parameter commands: the first one is the default.
    package init(
        name: String, summary: String, discussion: String = "", version: String,
        commands first: Command, _ others: Command...
    ) {
        self.name = name
        self.summary = summary
        self.discussion = discussion
        self.version = version
        defaultCommand = first
        commands = [first] + others
    }
}

/// A command of a program.
package struct Command: Equatable, Sendable {
    package let name: String
    /// One or two sentences for `--help`.
    package let summary: String
    /// Further text for `--help`.
    package let discussion: String
    package let options: [Option]

    package init(name: String, summary: String, discussion: String = "", options: [Option]) {
        self.name = name
        self.summary = summary
        self.discussion = discussion
        self.options = options
    }
}

/// An option of a command. Every option takes a value; the last one on the command line counts.
package struct Option: Equatable, Sendable {
    /// Without the dashes.
    package let name: String
    /// The kind of value, such as `duration`.
    package let valueName: String
    package let help: String

    package init(name: String, valueName: String, help: String) {
        self.name = name
        self.valueName = valueName
        self.help = help
    }

    /// `--ping-timeout <duration>`
    var usage: String { "--\(name) <\(valueName)>" }
}

/// The request that the arguments make.
package enum Invocation: Equatable, Sendable {
    /// Run `command` with the given values, by option name.
    case run(Command, values: [String: String])
    /// Show the help of a command, or of the program.
    case help(Command?)
    case version
}

/// A problem with the arguments, in one line.
package struct UsageError: Error, Equatable, CustomStringConvertible {
    package let description: String
}
