/// What a program can be told on its command line: `program [command] [--option value] [--option=value]`.
package struct Program: Sendable {
    package let name: String
    /// What it is, in a sentence.
    package let summary: String
    /// More about it, for `--help`.
    package let discussion: String
    package let version: String
    package let commands: [Command]
    /// The one that is meant when none is named.
    package let defaultCommand: Command

    /// - Parameter commands: the first is the one that is meant when none is named.
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

/// Something that a program does.
package struct Command: Equatable, Sendable {
    package let name: String
    /// What it does, in a sentence or two.
    package let summary: String
    /// More about it, for `--help`.
    package let discussion: String
    package let options: [Option]

    package init(name: String, summary: String, discussion: String = "", options: [Option]) {
        self.name = name
        self.summary = summary
        self.discussion = discussion
        self.options = options
    }
}

/// Something that can be said about how a command is done. All options take a value; the last one given counts.
package struct Option: Equatable, Sendable {
    /// Without its dashes.
    package let name: String
    /// What the value is, such as `duration`.
    package let valueName: String
    package let help: String

    package init(name: String, valueName: String, help: String) {
        self.name = name
        self.valueName = valueName
        self.help = help
    }

    /// As it is given: `--ping-timeout <duration>`.
    var usage: String { "--\(name) <\(valueName)>" }
}

/// What the arguments ask for.
package enum Invocation: Equatable, Sendable {
    /// To do `command`, with the values of the options that were given, by name.
    case run(Command, values: [String: String])
    /// To be told about a command, or about the program.
    case help(Command?)
    case version
}

/// What is wrong with the arguments, in one line.
package struct UsageError: Error, Equatable, CustomStringConvertible {
    package let description: String
}
