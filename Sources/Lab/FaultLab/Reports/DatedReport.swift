internal import PostgresTestKit

/// A result for `scripts/results`: a Markdown file with date, revision and machine.
package struct DatedReport: Sendable {
    /// The beginning of the file's name.
    package let name: String
    package let title: String
    /// The command that repeats the measurement.
    package let command: String
    package let body: String

    package init(name: String, title: String, command: String, body: String) {
        self.name = name
        self.title = title
        self.command = command
        self.body = body
    }

    package func text(on host: HostInfo, revision: String) -> String {
        """
        # \(title), \(host.date)

        `\(command)` at revision \(revision), on \(host.description). [scripts/README.md](../README.md) describes it.

        \(body)
        """
    }

    /// Writes `NAME-YYYY-MM-DD.md` to the folder, and returns its path. Creates the folder if it is missing.
    package func publish(to folder: String, on host: HostInfo) async throws -> String {
        try Files.makeFolder(folder, mode: 0o755)
        let path = "\(folder)/\(name)-\(host.date).md"
        try Files.write(text(on: host, revision: await Self.revision()), to: path, mode: 0o644)
        return path
    }

    /// The revision of the repository that holds this program; `unknown` outside a repository.
    private static func revision() async -> String {
        guard let program = Files.canonical("/proc/self/exe") else { return "unknown" }
        let folder = String(program.prefix(upTo: program.lastIndex(of: "/") ?? program.startIndex))
        let arguments = ["git", "-C", folder, "describe", "--always", "--dirty", "--exclude=*"]
        let output = try? await Command(executable: "/usr/bin/env", arguments: arguments).run()
        return output.map { String($0.prefix { $0 != "\n" }) } ?? "unknown"
    }
}
