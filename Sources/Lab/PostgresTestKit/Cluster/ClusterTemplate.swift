import Glibc

/// A freshly initialised cluster, kept in the temporary folder and copied for every sandbox: `initdb`
/// takes more than a second, the copy a tenth of that.
struct ClusterTemplate {
    let binaries: PostgresBinaries
    package let account: ServerAccount

    /// Changes whenever what `build` does changes, so that an older template is not taken for this one.
    private static let edition = 1

    /// The role that owns the cluster and that the sandbox itself acts as.
    static let owner = "postgres"

    /// Copies the template to `destination`, making the template first if there is none.
    func copy(to destination: String, _ configuration: SandboxConfiguration) async throws {
        let version = try await Command(executable: binaries.path("postgres"), arguments: ["--version"]).run()
        let slug = version.filter { $0.isLetter || $0.isNumber || $0 == "." }
        let template = "\(Files.temporary)/daruma-template-\(account.userID)-\(Self.edition)-\(slug)"
        if !Files.exists(template) { try await build(at: template) }
        try check(template)
        try await run("/bin/cp", ["-a", "--reflink=auto", "\(template)/data", destination])
        if !configuration.hasStandardNames {
            let standard = SandboxConfiguration()
            try await single(
                destination,
                ["drop database \(identifier(standard.database))", "drop role \(identifier(standard.user))"]
                    + Self.statements(configuration))
        }
    }

    /// Built aside and renamed into place: of two builders one wins, and nobody sees half a template.
    private func build(at template: String) async throws {
        let folder = try Files.makeTemporaryFolder("\(template).")
        defer { Files.removeTree(folder) }
        try Files.give(folder, to: account)
        try await run(
            binaries.path("initdb"),
            [
                "--pgdata=\(folder)/data", "--username=\(Self.owner)", "--auth-local=trust",
                "--auth-host=scram-sha-256", "--encoding=UTF8", "--no-locale", "--wal-segsize=1", "--no-sync",
                "--no-instructions",
            ])
        try await single("\(folder)/data", Self.statements(SandboxConfiguration()))
        // Losing the race is fine: the winner's is the same.
        if rename(folder, template) != 0 && errno != ENOTEMPTY && errno != EEXIST {
            throw SandboxError(.folder, "cannot keep the template \(template): \(String(cString: strerror(errno)))")
        }
    }

    private static func statements(_ configuration: SandboxConfiguration) -> [String] {
        let user = identifier(configuration.user)
        return [
            "create role \(user) superuser login password \(literal(configuration.password))",
            "create database \(identifier(configuration.database)) owner \(user)",
        ]
    }

    /// Single-user mode: no server, no port, nothing to wait for. One statement per line.
    private func single(_ data: String, _ statements: [String]) async throws {
        try await run(
            binaries.path("postgres"), ["--single", "-D", data, "-c", "fsync=off", "postgres"],
            input: statements.map { "\($0)\n" }.joined())
    }

    /// The temporary folder is everybody's: a template that somebody else put there is not used.
    private func check(_ template: String) throws {
        var status = stat()
        guard lstat(template, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_mode & 0o077 == 0,
            status.st_uid == account.userID
        else {
            throw SandboxError(.folder, "\(template) belongs to somebody else or is open to others: delete it")
        }
    }

    private func run(_ executable: String, _ arguments: [String], input: String = "") async throws {
        try await Command(executable: executable, arguments: arguments, input: input, account: account).run()
    }
}

/// SQL's quoting of a name.
package func identifier(_ name: String) -> String {
    "\"" + name.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
}

/// SQL's quoting of a string.
package func literal(_ text: String) -> String {
    "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: "''") + "'"
}
