import Glibc

extension PostgresSandbox {
    /// A throw-away sandbox whose data are a copy of a running one's, and which follows it by streaming.
    /// Not started yet.
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
        // Of two lines for one setting the last one counts.
        try Files.write(
            """
            port = \(standby.port)
            unix_socket_directories = \(literal(standby.socketFolder))

            """, to: "\(standby.dataFolder)/postgresql.conf", append: true)
        return standby
    }

    /// Makes the next start a recovery that goes on until `promote`, and takes no logins meanwhile.
    package func recoverUntilPromoted() throws {
        try Files.write("hot_standby = off\n", to: "\(dataFolder)/postgresql.conf", append: true)
        let signal = "\(dataFolder)/standby.signal"
        try Files.write("", to: signal)
        try Files.give(signal, to: account)
    }

    /// Ends the recovery, as `pg_ctl promote` does, which works where no login does.
    package func promote() async throws {
        guard let server else { throw SandboxError(.notRunning, "there is no running server to promote") }
        let signal = "\(dataFolder)/promote"
        try Files.write("", to: signal)
        try Files.give(signal, to: account)
        Glibc.kill(server.id, SIGUSR1)
    }

    /// Ends one session of a client's, whichever it hits. Returns how many were hit.
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

    /// A few lines of shell, as oneself.
    package func shell(_ script: String, _ argument: String) async throws {
        try await Command(executable: "/bin/sh", arguments: ["-c", "set -e\n" + script, "sh", argument]).run()
    }

    /// A connection string that names another server to be tried first: `host:port`.
    package func connectionURL(after first: String) -> String {
        let own = "\(host):\(port)"
        let url = connectionURL()
        guard let range = url.firstRange(of: own) else { return url }
        return url[..<range.lowerBound] + "\(first)," + url[range.lowerBound...]
    }

    /// A connection string that names further servers, to be tried when the first is not the right one.
    package func connectionURL(alternatives: [PostgresSandbox], parameters: [String: String]) -> String {
        let hosts = alternatives.map { ",\($0.host):\($0.port)" }.joined()
        let own = "\(host):\(port)"
        let url = connectionURL(parameters: parameters)
        guard let range = url.firstRange(of: own) else { return url }
        return url[..<range.upperBound] + hosts + url[range.upperBound...]
    }
}
