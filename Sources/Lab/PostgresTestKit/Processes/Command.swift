import Subprocess
import SystemPackage

/// A short helper command, with a deadline and its output collected.
package struct Command: Sendable {
    package var executable: String
    package var arguments: [String]
    package var environment: [String: String]
    package var input: String
    package var account: ServerAccount
    /// Helpers start where everybody may be: the caller's own folder may be closed to the server's user.
    package var folder: String
    package var deadline: Duration

    package init(
        executable: String, arguments: [String], environment: [String: String] = [:], input: String = "",
        account: ServerAccount = .oneself, folder: String = "/", deadline: Duration = .seconds(60)
    ) {
        self.executable = executable
        self.arguments = arguments
        self.environment = environment
        self.input = input
        self.account = account
        self.folder = folder
        self.deadline = deadline
    }

    /// Runs to the end and returns what came out on standard output.
    ///
    /// Throws a `SandboxError` that quotes standard error when the command failed or took too long.
    @discardableResult
    package func run() async throws -> String {
        let name = executable.split(separator: "/").last.map(String.init) ?? executable
        var words = [executable] + arguments
        if let (user, group) = account.ids {
            // setpriv instead of the spawning call's own user options: those fork in this process, which
            // hangs now and then under ThreadSanitizer, where the child waits for a lock of a thread it
            // does not have. Without them it is a posix_spawn.
            words = ["/usr/bin/setpriv", "--reuid=\(user)", "--regid=\(group)", "--clear-groups", "--"] + words
        }
        var options = PlatformOptions()
        // A session of its own: Ctrl-C at the terminal is for the maker, which then tidies up.
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
                        // Whoever is cancelled kills it.
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
