import ArgumentParser
import DarumaService
import Glibc

@main
struct Daruma: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "daruma",
        abstract: "An HTTP service that outlives its PostgreSQL.",
        discussion: "daruma serve --help lists every setting, with its environment variable and default.",
        version: BuildInfo.version,
        subcommands: [ServeCommand.self, HealthcheckCommand.self],
        defaultSubcommand: ServeCommand.self)

    /// As ArgumentParser's own, but a usage error is one line that names what is wrong.
    static func main() async {
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch let failure as CommandFailure {
            fail(failure.message, failure.status)
        } catch {
            let status = exitCode(for: error)
            guard status == .validationFailure else { exit(withError: error) }
            fail(message(for: error) + " (see daruma --help)", status.rawValue)
        }
    }

    private static func fail(_ message: String, _ status: Int32) -> Never {
        let line = "daruma: \(message)\n"
        write(STDERR_FILENO, line, line.utf8.count)
        Glibc.exit(status)
    }
}

/// An end with a line for the reader and a status from `sysexits.h`.
struct CommandFailure: Error {
    let message: String
    let status: Int32

    static func usage(_ message: String) -> CommandFailure { CommandFailure(message: message, status: 64) }
    static func unavailable(_ message: String) -> CommandFailure { CommandFailure(message: message, status: 69) }
}
