import DarumaService
import Glibc

@main
enum Daruma {
    static let program = Program(
        name: "daruma",
        summary: "An HTTP service that outlives its PostgreSQL.",
        discussion: "daruma serve --help lists the settings with their environment variables and defaults.",
        version: BuildInfo.version,
        commands: ServeCommand.description, HealthcheckCommand.description)

    /// Not `async`: exiting the main thread makes the unwinder touch 0.7 MB of tables.
    static func main() {
        StandardDescriptors.openMissing()
        do {
            switch try program.read(Array(CommandLine.arguments.dropFirst())) {
            case .help(let command): print(program.help(for: command, width: TerminalWidth.current))
            case .version: print(program.version)
            case .run(HealthcheckCommand.description, let values): try HealthcheckCommand(values).run()
            case .run(_, let values): serve(ServeCommand(values))
            }
        } catch {
            fail(error)
        }
    }

    private static func serve(_ command: ServeCommand) -> Never {
        // Before other threads start, because they inherit the mask.
        TerminationSignals.block()
        Task {
            do {
                try await command.run()
                exit(0)
            } catch {
                fail(error)
            }
        }
        while true { pause() }
    }

    private static func fail(_ error: any Error) -> Never {
        switch error {
        case let problem as UsageError: fail("\(problem)", CommandFailure.usage("").status)
        case let failure as CommandFailure: fail(failure.message, failure.status)
        default: fail("\(error)", 1)
        }
    }

    private static func fail(_ message: String, _ status: Int32) -> Never {
        let line = "daruma: \(message)\n"
        write(STDERR_FILENO, line, line.utf8.count)
        exit(status)
    }
}

/// A failure with a message of one line and an exit status from `sysexits.h`.
struct CommandFailure: Error {
    let message: String
    let status: Int32

    static func usage(_ message: String) -> CommandFailure { CommandFailure(message: message, status: 64) }
    static func unavailable(_ message: String) -> CommandFailure { CommandFailure(message: message, status: 69) }
}
