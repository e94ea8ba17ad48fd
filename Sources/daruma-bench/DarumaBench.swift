import ArgumentParser
import Glibc
import PostgresSandbox

/// The stopwatch. Not in the production image.
@main
struct DarumaBench: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "daruma-bench",
        abstract: "Measures the service, the pool and the parser, and compares them with others.",
        subcommands: [
            CompareCommand.self, GateCommand.self, BalancerCommand.self, PipelineCommand.self, GrowthCommand.self,
            StartupCommand.self, SoakCommand.self, SyscallsCommand.self, WorkCommand.self,
        ])
}

/// Where figures and complaints go.
enum Output {
    static func say(_ line: String = "") { write(line, to: STDOUT_FILENO) }
    static func note(_ line: String) { write(line, to: STDERR_FILENO) }

    private static func write(_ line: String, to descriptor: Int32) {
        let bytes = Array("\(line)\n".utf8)
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { return }
            rest = rest.dropFirst(count)
        }
    }
}

/// Runs a command's body; an error of the sandbox is a line for the reader and exit status 69 (something is missing) or
/// 70.
func reportingErrors(_ body: () async throws -> Void) async throws {
    do {
        try await body()
    } catch let error as SandboxError {
        Output.note("daruma-bench: \(error)")
        throw ExitCode(error.kind == .missingBinaries || error.kind == .launch ? 69 : 70)
    }
}
