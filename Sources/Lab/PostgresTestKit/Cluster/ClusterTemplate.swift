import Glibc

/// A freshly initialised cluster in the temporary folder, which every sandbox copies: `initdb` takes more than a second,
/// the copy a tenth of that.
struct ClusterTemplate {
    let binaries: PostgresBinaries
    package let account: ServerAccount

    /// Increase it with every change to `build`, so that older templates are not reused.
    private static let edition = 1

    /// The role that owns the cluster and runs the sandbox's own statements.
    static let owner = "postgres"

    /// Copies the template to `destination`. Builds the template if it is missing.
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
                [
                    "drop database \(SQLText.identifier(standard.database))",
                    "drop role \(SQLText.identifier(standard.user))",
                ]
                    + Self.statements(configuration))
        }
    }

    /// Builds the template elsewhere and renames it into place, so that concurrent builders never see half of it.
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
        // A concurrent builder may have been first; its template is the same.
        if rename(folder, template) != 0 && errno != ENOTEMPTY && errno != EEXIST {
            throw SandboxError(.folder, "cannot keep the template \(template): \(SandboxError.systemMessage)")
        }
    }

    private static func statements(_ configuration: SandboxConfiguration) -> [String] {
        let user = SQLText.identifier(configuration.user)
        return [
            "create role \(user) superuser login password \(SQLText.literal(configuration.password))",
            "create database \(SQLText.identifier(configuration.database)) owner \(user)",
        ]
    }

    /// Runs statements in single-user mode, which needs no server: one statement per line.
    private func single(_ data: String, _ statements: [String]) async throws {
        try await run(
            binaries.path("postgres"), ["--single", "-D", data, "-c", "fsync=off", "postgres"],
            input: statements.map { "\($0)\n" }.joined())
    }

    /// Rejects a template of another user, because everyone can write to the temporary folder.
    private func check(_ template: String) throws {
        var status = stat()
        guard lstat(template, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_mode & 0o077 == 0,
            status.st_uid == account.userID
        else {
            throw SandboxError(.folder, "\(template) belongs to another user or is open to others: delete it")
        }
    }

    private func run(_ executable: String, _ arguments: [String], input: String = "") async throws {
        try await Command(executable: executable, arguments: arguments, input: input, account: account).run()
    }
}
