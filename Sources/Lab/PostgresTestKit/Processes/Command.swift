import Subprocess
import SystemPackage

/// A short helper command with a deadline. Collects its output.
package struct Command: Sendable {
    package var executable: String
    package var arguments: [String]
    package var environment: [String: String]
    package var input: String
    package var account: ServerAccount
    /// Defaults to `/`, because the server's user may not enter the caller's folder.
    package var folder: String
    package var deadline: Duration

    package init(
        executable: String, arguments: [String], environment: [String: String] = [:], input: String = "",
        account: ServerAccount = .sameUser, folder: String = "/", deadline: Duration = .seconds(60)
    ) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.input = input
        self.account = account
        self.folder = folder
        self.deadline = deadline
    }

    /// Runs the command and returns its standard output.
    ///
    /// Throws a `SandboxError` that quotes standard error if the command failed or took too long.
    @discardableResult
    package func run() async throws -> String {
        let name = executable.split(separator: "/").last.map(String.init) ?? executable
        let words = account.command([executable] + arguments)
        var options = PlatformOptions()
        // A separate session: Ctrl-C at the terminal reaches only the lab, which cleans up.
        options.createSession = true
        let configuration = Configuration(
            executable: .path(FilePath(words[0])), arguments: Arguments(Array(words.dropFirst())),
            environment: .inherit.updating(
                Dictionary(uniqueKeysWithValues: environment.map { (Environment.Key(stringLiteral: $0), $1) })),
            workingDirectory: FilePath(folder), platformOptions: options)
        let input = self.input
        let deadline = self.deadline
        do {
            return try await withThrowingTaskGroup(of: String?.self) { group in
                group.addTask {
                    let result = try await Subprocess.run(
                        configuration, input: .string(input), output: .string(limit: 1 << 20),
                        error: .string(limit: 1 << 20))
                    guard result.terminationStatus.isSuccess else {
                        // Cancellation kills the command.
                        try Task.checkCancellation()
                        throw SandboxError(
                            .commandFailed, "\(name) failed: \(result.terminationStatus)",
                            logTail: result.standardError + result.standardOutput)
                    }
                    return result.standardOutput
                }
                group.addTask {
                    try await Task.sleep(for: deadline)
                    return nil
                }
                defer { group.cancelAll() }
                if let first = try await group.next(), let output = first { return output }
                throw SandboxError(.timedOut, "\(name) took longer than \(deadline)")
            }
        } catch let error as SubprocessError {
            try Task.checkCancellation()
            throw SandboxError(.commandFailed, "cannot run \(executable): \(error)")
        }
    }
}
