import Glibc

extension PostgresSandbox {
    /// Runs statements as the cluster's owner through the Unix socket, independent of roles and passwords. Returns one
    /// row per line, with columns separated by `|`.
    ///
    /// - Parameters:
    ///   - sql: one statement, or several, separated by semicolons.
    ///   - database: the database; by default the owner's, `postgres`, not the services'.
    /// - Throws: ``SandboxError`` of kind `commandFailed`, which quotes the server, if a statement fails.
    @discardableResult
    public func execute(_ sql: String, database: String? = nil) async throws -> String {
        let output = try await Command(
            executable: binaries.path("psql"),
            arguments: [
                "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1",
                "--host=\(socketFolder)", "--port=\(port)", "--username=\(ClusterTemplate.owner)",
                "--dbname=\(database ?? ClusterTemplate.owner)", "--command=\(sql)",
            ],
            environment: ["PGAPPNAME": Self.applicationName, "PGCONNECT_TIMEOUT": "10"], account: account,
            deadline: configuration.deadline
        ).run()
        return output.hasSuffix("\n") ? String(output.dropLast()) : output
    }

    private static let clients =
        "from pg_stat_activity where backend_type = 'client backend' and application_name <> '\(applicationName)'"

    /// The number of client sessions, of one role or of all.
    public func sessionCount(user: String? = nil) async throws -> Int {
        let condition = user.map { " and usename = \(SQLText.literal($0))" } ?? ""
        let text = try await execute("select count(*) \(Self.clients)\(condition)")
        guard let count = Int(text) else { throw SandboxError(.commandFailed, "not a number of sessions: \(text)") }
        return count
    }

    /// Waits until the number of client sessions, of one role or of all, satisfies `condition`.
    ///
    /// - Throws: ``SandboxError`` of kind `timedOut` after ``SandboxConfiguration/deadline``; of kind `commandFailed` when
    ///   the server cannot be asked; `CancellationError`.
    public func waitForSessions(user: String? = nil, until condition: (Int) -> Bool) async throws {
        var count = 0
        let isReached = try await Deadline(in: configuration.deadline).wait(every: .milliseconds(10)) {
            count = try await self.sessionCount(user: user)
            return condition(count)
        }
        guard isReached else { throw SandboxError(.timedOut, "there are \(count) sessions") }
    }

    /// Terminates client sessions, all or those in one state (`idle`, `active` …). Returns their number.
    @discardableResult
    public func terminateSessions(state: String? = nil) async throws -> Int {
        let condition = state.map { " and state = \(SQLText.literal($0))" } ?? ""
        let text = try await execute(
            "select count(*) filter (where pg_terminate_backend(pid)) \(Self.clients)\(condition)")
        return Int(text) ?? 0
    }

    /// The process ids of client sessions.
    package func sessionProcesses() async throws -> [Int32] {
        try await execute("select pid \(Self.clients) order by backend_start").split(separator: "\n")
            .compactMap { Int32($0) }
    }

    /// Changes how logins over TCP authenticate, from the next login on.
    public func setAuthentication(_ authentication: SandboxConfiguration.Authentication) async throws {
        try Files.write(SandboxLayout.accessRules(authentication), to: "\(dataFolder)/pg_hba.conf")
        try await applySettings()
    }

    /// Changes settings, and waits until the server has read them. Those that need a restart take effect at the next start.
    public func set(_ settings: [String: String]) async throws {
        for (name, value) in settings.sorted(by: { $0.key < $1.key }) {
            try await execute("alter system set \(SQLText.identifier(name)) = \(SQLText.literal(value))")
        }
        try await applySettings()
    }

    /// Reloads, and waits until the postmaster has read the files: a reload is a signal, and takes effect later.
    private func applySettings() async throws {
        let before = try await execute("select pg_conf_load_time()")
        // The load time has microseconds, so every reload changes it.
        try reload()
        let isLoaded = try await Deadline(in: configuration.deadline).wait(every: .milliseconds(10)) {
            try await self.execute("select pg_conf_load_time()") != before
        }
        guard isLoaded else {
            throw SandboxError(.timedOut, "PostgreSQL did not reload its settings", logTail: Files.tail(logPath))
        }
    }
}
