extension Program {
    /// Parses `arguments`, which do not include the program's name.
    ///
    /// `--help` wins over every other argument. A value that begins with a dash, unless it is a number, needs the form
    /// `--option=value`: usually the user forgot the value. An empty value must be a separate argument (`--host ''`).
    ///
    /// getopt_long(3) does none of this: it takes the next option for a missing value, accepts abbreviations, repeats
    /// arguments that may hold a password in its messages, and keeps its state in global variables.
    package func read(_ arguments: [String]) throws(UsageError) -> Invocation {
        var rest = arguments[...]
        if rest.first == "help" { return try readHelp(rest.dropFirst()) }
        let named = commands.first { $0.name == rest.first }
        if named != nil { rest.removeFirst() }
        let command = named ?? defaultCommand
        let help = named.map { "\(name) \($0.name) --help" } ?? "\(name) --help"

        var values: [String: String] = [:]
        // The first problem usually explains the others.
        var problem: UsageError?
        var mayBeOption = true
        while let argument = rest.popFirst() {
            switch argument {
            case "--" where mayBeOption: mayBeOption = false
            case "-h" where mayBeOption, "--help" where mayBeOption:
                return .help(rest.startIndex == 1 ? nil : command)
            case "--version" where mayBeOption: return .version
            default:
                do throws(UsageError) {
                    guard mayBeOption, argument.hasPrefix("-"), argument != "-" else {
                        throw unexpected(argument, number: rest.startIndex)
                    }
                    let (option, value) = try readOption(argument, of: command, &rest)
                    values[option.name] = value
                } catch {
                    problem = problem ?? error.pointing(to: help)
                }
            }
        }
        if let problem { throw problem }
        return .run(command, values: values)
    }

    /// Parses `help` and `help <command>`.
    private func readHelp(_ rest: ArraySlice<String>) throws(UsageError) -> Invocation {
        guard let wanted = rest.first else { return .help(nil) }
        guard let command = commands.first(where: { $0.name == wanted }) else {
            throw unexpected(wanted, number: 2).pointing(to: "\(name) --help")
        }
        return .help(command)
    }

    /// Parses an option and its value, which may be the next argument.
    private func readOption(
        _ argument: String, of command: Command, _ rest: inout ArraySlice<String>
    ) throws(UsageError) -> (Option, String) {
        let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
        let typed = String(parts[0])
        guard let option = command.options.first(where: { "--\($0.name)" == typed }) else {
            throw UsageError(description: Self.isWord(typed) ? "unknown option '\(typed)'" : "unknown option")
        }
        if parts.count == 2 {
            guard !parts[1].isEmpty else { throw UsageError(description: "no value for '\(option.usage)'") }
            return (option, String(parts[1]))
        }
        guard let next = rest.first, Self.isValue(next) else {
            throw UsageError(description: "no value for '\(option.usage)'")
        }
        rest.removeFirst()
        return (option, next)
    }

    /// Whether an argument is a value rather than an option.
    private static func isValue(_ argument: String) -> Bool {
        guard argument.hasPrefix("-") else { return true }
        return argument.dropFirst().first.map { "0"..."9" ~= $0 } ?? true
    }

    /// - Parameter number: the argument's position, from 1.
    private func unexpected(_ argument: String, number: Int) -> UsageError {
        UsageError(
            description: Self.isWord(argument)
                ? "unexpected argument '\(argument)'" : "unexpected argument, number \(number)")
    }

    /// Whether a message may repeat an argument. A connection string with a password must not get into a log.
    private static func isWord(_ argument: String) -> Bool {
        argument.utf8.count <= 40
            && argument.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."):
                    true
                default: false
                }
            }
    }
}

extension UsageError {
    fileprivate func pointing(to help: String) -> UsageError {
        UsageError(description: "\(description) (see \(help))")
    }
}
