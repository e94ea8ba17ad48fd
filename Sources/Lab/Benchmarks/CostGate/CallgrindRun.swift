package import PostgresTestKit

/// Runs a program under callgrind.
package struct CallgrindRun: Sendable {
    /// Changes to the inherited environment; nil removes a variable.
    package var environment: [String: String?] = [:]
    /// The limit for a run. Programs run about fifty times slower.
    package var limit = Duration.seconds(120)

    package init(environment: [String: String?] = [:]) { self.environment = environment }

    /// Runs `command` and `body`. The command must exit with 0, on its own or, with `needsSignal`, after SIGTERM.
    package func profile(
        _ command: [String], needsSignal: Bool = false, during body: (ServiceProcess) async throws -> Void = { _ in }
    ) async throws -> CallgrindProfile {
        let folder = try TemporaryFolder()
        let output = "\(folder.path)/callgrind.out"
        let process = try await ServiceProcess.start(
            ["valgrind", "--tool=callgrind", "--quiet", "--callgrind-out-file=\(output)"] + command,
            environment: environment)
        do {
            try await body(process)
            if needsSignal { process.signal(15) }
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
