import DispatchLoop
import Glibc

/// A PgBouncer in front of a sandbox's server, in transaction mode, in a folder of its own.
///
/// It keeps its port while it is stopped, runs as the server's user, and ends with its maker, however the maker ends.
package final class PgBouncer: Sendable {
    package let port: UInt16
    private let sandbox: PostgresSandbox
    private let binary: String
    private let folder: TemporaryFolder
    private let reservation: PortReservation
    private let process = Locked<ServiceProcess?>(nil)

    private var settingsPath: String { "\(folder.path)/pgbouncer.ini" }

    /// One that is not started yet. `settings` are further lines of the section `[pgbouncer]`.
    package init(for sandbox: PostgresSandbox, poolSize: Int = 2, settings: [String: String] = [:]) throws {
        // Debian's package puts it where only root looks for programs.
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
            // How soon a server that was away is tried again; 15 s is the default.
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
        var command = [binary, settingsPath]
        if let (user, group) = sandbox.account.ids {
            // As Command does; PgBouncer refuses to run as root.
            command = ["/usr/bin/setpriv", "--reuid=\(user)", "--regid=\(group)", "--clear-groups", "--"] + command
        }
        let started = try await ServiceProcess.start(command)
        process.withLock { $0 = started }
        let isUp = try await Deadline(in: .seconds(20)).wait {
            started.log.contains("process up") || !started.isRunning
        }
        guard isUp, started.isRunning else {
            throw SandboxError(.service, "PgBouncer did not start", logTail: started.logTail)
        }
    }

    /// SIGKILL: clients see their connections reset or ended.
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

    /// As the sandbox's, by way of PgBouncer.
    package func connectionURL(
        password: String? = nil, database: String? = nil, parameters: [String: String] = [:]
    ) -> String {
        sandbox.connectionURL(password: password, database: database, port: port, parameters: parameters)
    }

    package var log: String { process.withLock { $0?.log } ?? "" }
}
