import ArgumentParser
import Glibc
import PostgresTestKit

/// The lab's command line. It can stop databases, so it is not in the production image.
@main
struct DarumaLab: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "daruma-lab",
        abstract: "Stops, kills and freezes PostgreSQL under a running service, shows what comes of it, and measures.",
        subcommands: [
            DemoCommand.self, ChaosCommand.self, DatabaseCommand.self, ProbesCommand.self, ViewersCommand.self,
            HTTPScaleCommand.self, PrometheusCommand.self, ReaderCommand.self, DeploysCommand.self,
            BenchCommand.self,
        ])
}

/// What the lab's commands say and leave with when something goes wrong.
enum LabExit {
    /// sysexits(3): something needed is not installed.
    static let unavailable = ExitCode(69)
    static let software = ExitCode(70)
    /// A promise was broken.
    static let brokenPromise = ExitCode(1)
    /// As a shell names an end by Ctrl-C.
    static let interrupted = ExitCode(130)

    /// Runs a command's body; turns errors into one message and an exit code, and Ctrl-C or SIGTERM into
    /// a cancellation, so that everything that was made is put away again.
    static func run(_ body: @escaping @Sendable () async throws -> Void) async throws {
        do {
            try await Interruption.cancelling(body)
        } catch is CancellationError {
            throw interrupted
        } catch let error as SandboxError {
            Terminal.complain("daruma-lab: \(error)")
            throw error.kind == .missingBinaries || error.kind == .launch ? unavailable : software
        }
    }
}
