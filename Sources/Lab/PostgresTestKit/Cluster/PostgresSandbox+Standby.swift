import Glibc

extension PostgresSandbox {
    /// Creates a streaming standby: a temporary sandbox with a copy of a running one's data. Does not start it.
    package static func makeStandby(of primary: PostgresSandbox) async throws -> PostgresSandbox {
        let standby = try await make(primary.configuration)
        Files.removeTree(standby.dataFolder)
        try await Command(
            executable: primary.binaries.path("pg_basebackup"),
            arguments: [
                "--pgdata=\(standby.dataFolder)", "--host=\(primary.socketFolder)", "--port=\(primary.port)",
                "--username=\(ClusterTemplate.owner)", "--write-recovery-conf", "--checkpoint=fast", "--no-sync",
            ], account: standby.account
        ).run()
        // The last line for a setting wins.
        try Files.write(
            """
            port = \(standby.port)
            unix_socket_directories = \(SQLText.literal(standby.socketFolder))

            """, to: "\(standby.dataFolder)/postgresql.conf", append: true)
        return standby
    }

    /// Turns the next start into a recovery that lasts until `promote` and refuses logins.
    package func recoverUntilPromoted() throws {
        try Files.write("hot_standby = off\n", to: "\(dataFolder)/postgresql.conf", append: true)
        let signal = "\(dataFolder)/standby.signal"
        try Files.write("", to: signal)
        try Files.give(signal, to: account)
    }

    /// Creates and starts a streaming standby of this running sandbox, and waits until it streams. A string
    /// from ``connectionURL(alternatives:parameters:)`` names both. It needs a ``remove()`` of its own.
    public func startStandby() async throws -> PostgresSandbox {
        let standby = try await Self.makeStandby(of: self)
        do {
            try await standby.start()
            let streams = try await Deadline(in: configuration.deadline).wait(every: .milliseconds(10)) {
                try await self.execute("select count(*) from pg_stat_replication where state = 'streaming'") != "0"
            }
            guard streams else { throw SandboxError(.timedOut, "the standby does not stream") }
            return standby
        } catch {
            try? await standby.remove()
            throw error
        }
    }

    /// Moves the primary's role to its standby, in order: stops this server, which hands over everything that was
    /// committed, promotes the standby, and waits until that takes changes.
    public func failOver(to standby: PostgresSandbox) async throws {
        try await stop(.fast)
        try await standby.promote()
        let isPrimary = try await Deadline(in: configuration.deadline).wait(every: .milliseconds(10)) {
            try await standby.execute("select pg_is_in_recovery()") == "f"
        }
        guard isPrimary else { throw SandboxError(.timedOut, "the standby's recovery does not end") }
    }

    /// Ends the recovery as `pg_ctl promote` does, without a login.
    package func promote() async throws {
        guard let server else { throw SandboxError(.notRunning, "there is no running server to promote") }
        let signal = "\(dataFolder)/promote"
        try Files.write("", to: signal)
        try Files.give(signal, to: account)
        Glibc.kill(server.id, SIGUSR1)
    }

    /// Terminates one client session at random. Returns 0 if none exists, otherwise 1.
    package func terminateSession() async throws -> Int {
        let text = try await execute(
            """
            select count(pg_terminate_backend(pid)) from (
                select pid from pg_stat_activity
                where backend_type = 'client backend' and application_name <> '\(Self.applicationName)'
                order by random() limit 1) as victim
            """)
        return Int(text) ?? 0
    }

    /// Runs a shell script as the current user.
    package func shell(_ script: String, _ argument: String) async throws {
        try await Command(executable: "/bin/sh", arguments: ["-c", "set -e\n" + script, "sh", argument]).run()
    }

    /// A connection string that names another server, `host:port`, before this one.
    package func connectionURL(after first: String) -> String {
        connectionURL().replacing("@", with: "@\(first),")
    }

    /// A connection string that names further servers after this one.
    ///
    /// - Parameters:
    ///   - alternatives: the further servers, in order.
    ///   - parameters: libpq's, such as `target_session_attrs=read-write`.
    public func connectionURL(alternatives: [PostgresSandbox], parameters: [String: String]) -> String {
        let own = "\(host):\(port)"
        let hosts = ([own] + alternatives.map { "\($0.host):\($0.port)" }).joined(separator: ",")
        return connectionURL(parameters: parameters).replacing("@\(own)/", with: "@\(hosts)/")
    }
}
