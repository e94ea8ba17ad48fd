package import PostgresTestKit

/// Runs a program under callgrind.
package struct CallgrindRun: Sendable {
    /// What the program gets besides what it inherits; nil removes.
    package var environment: [String: String?] = [:]
    /// How long a run may take. Programs run some fifty times slower, and machines are busy.
    package var limit = Duration.seconds(120)

    package init(environment: [String: String?] = [:]) { self.environment = environment }

    /// Runs `command` until `body` is done with it; it has to leave with exit 0 by itself or when asked to (SIGTERM).
    package func profile(
        _ command: [String], asksToLeave: Bool = false, during body: (ServiceProcess) async throws -> Void = { _ in }
    ) async throws -> CallgrindProfile {
        let folder = try TemporaryFolder()
        let output = "\(folder.path)/callgrind.out"
        let process = try await ServiceProcess.start(
            ["valgrind", "--tool=callgrind", "--quiet", "--callgrind-out-file=\(output)"] + command,
            environment: environment)
        do {
            try await body(process)
            if asksToLeave { process.signal(15) }
            let exit = try await process.waitForExit(within: limit)
            guard exit == .code(0), let text = Files.read(output) else {
                throw SandboxError(.service, "\(command[0]) under callgrind: \(exit)", logTail: process.logTail)
            }
            return CallgrindProfile(text)
        } catch {
            _ = try? await process.stop(within: .seconds(1))
            throw error
        }
    }
}
