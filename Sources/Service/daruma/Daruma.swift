import DarumaService
import DispatchHTTP
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
        let line = "daruma: \(error)\n"
        write(STDERR_FILENO, line, line.utf8.count)
        exit(status(of: error))
    }

    /// The exit status, from `sysexits.h`.
    private static func status(of error: any Error) -> Int32 {
        switch error {
        case is UsageError, is SettingError: 64
        case is ListenError: 69
        case let failure as CommandFailure: failure.status
        default: 1
        }
    }
}

/// A failure with a message of one line.
struct CommandFailure: Error, CustomStringConvertible {
    let description: String
    let status: Int32

    static func usage(_ message: String) -> CommandFailure { CommandFailure(description: message, status: 64) }
}
