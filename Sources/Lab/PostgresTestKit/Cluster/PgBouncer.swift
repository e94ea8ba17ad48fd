import DispatchLoop
import Glibc

/// A PgBouncer in front of a sandbox's server, in transaction mode, in its own folder.
///
/// It keeps its port while it is stopped, and runs as the server's user. A watchdog kills it when this process ends.
package final class PgBouncer: Sendable {
    package let port: UInt16
    private let sandbox: PostgresSandbox
    private let binary: String
    private let folder: TemporaryFolder
    private let reservation: PortReservation
    private let process = Locked<ServiceProcess?>(nil)

    private var settingsPath: String { "\(folder.path)/pgbouncer.ini" }

    /// Does not start it. `settings` are further lines of the section `[pgbouncer]`.
    package init(for sandbox: PostgresSandbox, poolSize: Int = 2, settings: [String: String] = [:]) throws {
        // Debian installs it in /usr/sbin, which is in root's PATH only.
        let places = ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"].map { "\($0)/pgbouncer" }
        guard let binary = places.first(where: Files.isExecutable) else {
            throw SandboxError(.missingBinaries, "PgBouncer is not installed: apt-get install pgbouncer")
        }
        self.sandbox = sandbox
        self.binary = binary
        folder = try TemporaryFolder(isOpen: true)
        reservation = try PortReservation()
        port = reservation.port
        let configuration = sandbox.configuration
        let defaults = [
            "listen_addr": sandbox.host, "listen_port": "\(port)", "unix_socket_dir": "",
            "auth_type": "scram-sha-256", "auth_file": "\(folder.path)/users.txt",
            "admin_users": configuration.user, "pool_mode": "transaction", "default_pool_size": "\(poolSize)",
            "max_client_conn": "200",
            // The pause before it tries a lost server again; the default is 15 s.
            "server_login_retry": "1",
        ]
        let lines = defaults.merging(settings) { _, given in given }.sorted { $0.key < $1.key }
            .map { "\($0.key) = \($0.value)" }
        try Files.write(
            """
            [databases]
            \(configuration.database) = host=\(sandbox.host) port=\(sandbox.port)
            [pgbouncer]
            \(lines.joined(separator: "\n"))

            """, to: settingsPath)
        try Files.write("\"\(configuration.user)\" \"\(configuration.password)\"\n", to: "\(folder.path)/users.txt")
        for path in [settingsPath, "\(folder.path)/users.txt"] { try Files.give(path, to: sandbox.account) }
    }

    /// Starts it and waits until it listens.
    package func start() async throws {
        // PgBouncer refuses to run as root.
        let started = try await ServiceProcess.start(sandbox.account.command([binary, settingsPath]))
        process.withLock { $0 = started }
        let isUp = try await Deadline(in: .seconds(20)).wait {
            started.log.contains("process up") || !started.isRunning
        }
        guard isUp, started.isRunning else {
            throw SandboxError(.service, "PgBouncer did not start", logTail: started.logTail)
        }
    }

    /// Sends SIGKILL. Clients see their connections reset or closed.
    package func kill() async throws {
        guard let running = process.withLock({ $0.take() }) else { return }
        running.signal(SIGKILL)
        _ = try await running.waitForExit()
    }

    /// Sends a command to the console, such as `RECONNECT` or `SHOW POOLS`.
    @discardableResult
    package func console(_ command: String) async throws -> String {
        try await Command(
            executable: sandbox.binaries.path("psql"),
            arguments: [
                "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1",
                "--command=\(command)", connectionURL(database: "pgbouncer"),
            ], account: sandbox.account
        ).run()
    }

    /// The sandbox's connection string, through PgBouncer.
    package func connectionURL(
        password: String? = nil, database: String? = nil, parameters: [String: String] = [:]
    ) -> String {
        sandbox.connectionURL(password: password, database: database, port: port, parameters: parameters)
    }

    package var log: String { process.withLock { $0?.log } ?? "" }
}
