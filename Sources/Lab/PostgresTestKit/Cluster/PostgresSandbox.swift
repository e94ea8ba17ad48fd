import Glibc

/// A private PostgreSQL in its own folder, which a test or the lab stops, kills, freezes and starts again.
///
/// It listens on the loopback address only. A temporary sandbox (``make(_:)``) keeps its port while it is stopped; a
/// watchdog removes server, folder and shared memory when this process ends, however it ends.
///
/// ```swift
/// try await PostgresSandbox.withSandbox { sandbox in
///     let url = sandbox.connectionURL()
///     try await sandbox.stop()
///     try await sandbox.start()
/// }
/// ```
///
/// Its methods throw ``SandboxError``, or `CancellationError`. They wait for what they do, each for
/// ``SandboxConfiguration/deadline`` at most.
public final class PostgresSandbox: Sendable {
    /// The application name of the sandbox's own sessions, which session counts leave out.
    package static let applicationName = "daruma-sandbox"

    /// How it was created.
    public let configuration: SandboxConfiguration
    /// Holds `data/`, `server.log` and the Unix socket.
    package let folder: String
    /// Its port, the same after each start.
    public let port: UInt16
    /// The loopback address.
    public let host = "127.0.0.1"
    package let isPermanent: Bool

    let binaries: PostgresBinaries
    package let account: ServerAccount
    private let reservation: PortReservation?
    private let watchdog: CleanupWatchdog?

    package var dataFolder: String { "\(folder)/data" }
    /// The server's log, for a test that has failed.
    public var logPath: String { "\(folder)/server.log" }
    /// The folder of the Unix socket; `PGHOST` for tools that avoid TCP.
    package var socketFolder: String { SandboxLayout.socketFolder(for: folder) }

    init(
        configuration: SandboxConfiguration, folder: String, port: UInt16, binaries: PostgresBinaries,
        account: ServerAccount, reservation: PortReservation?, watchdog: CleanupWatchdog?
    ) {
        self.configuration = configuration
        self.folder = folder
        self.port = port
        self.binaries = binaries
        self.account = account
        self.reservation = reservation
        self.watchdog = watchdog
        isPermanent = watchdog == nil
    }

    /// Creates a temporary sandbox. Does not start it. It exists until ``remove()``, or until it is released.
    ///
    /// - Throws: ``SandboxError``; of kind `missingBinaries` where PostgreSQL's server is not installed.
    public static func make(_ configuration: SandboxConfiguration = .init()) async throws -> PostgresSandbox {
        let binaries = try await PostgresBinaries.find()
        let account = try ServerAccount.current()
        let made = try Files.makeTemporaryFolder("\(Files.scratch)/daruma-sandbox-")
        let folder = Files.canonical(made) ?? made
        // The watchdog starts first, so that it removes everything created from here on.
        let watchdog = try await CleanupWatchdog(
            script: SandboxLayout.removalScript, arguments: [folder, SandboxLayout.socketFolder(for: folder)])
        do {
            try Files.give(folder, to: account)
            guard account.canReach(folder) else {
                throw SandboxError(.folder, "the user `postgres` cannot reach \(folder): set TMPDIR")
            }
            let reservation = try PortReservation()
            try await SandboxLayout(folder: folder, port: reservation.port, configuration: configuration)
                .create(binaries, account)
            return PostgresSandbox(
                configuration: configuration, folder: folder, port: reservation.port, binaries: binaries,
                account: account, reservation: reservation, watchdog: watchdog)
        } catch {
            Files.removeTree(folder)
            throw error
        }
    }

    /// Creates and starts a temporary sandbox, runs `body` in the caller's isolation, and removes the sandbox.
    ///
    /// - Throws: ``SandboxError``, and what `body` throws.
    public static func withSandbox<Result>(
        _ configuration: SandboxConfiguration = .init(), _ body: (PostgresSandbox) async throws -> Result
    ) async throws -> Result {
        let sandbox = try await make(configuration)
        do {
            try await sandbox.start()
            let result = try await body(sandbox)
            try await sandbox.remove()
            return result
        } catch {
            try? await sandbox.remove()
            throw error
        }
    }

    /// Opens the permanent sandbox in `folder`, which stays, and which every process that opens the folder can operate.
    /// Creates a durable one if none exists.
    ///
    /// If the caller is root and the server's user cannot reach `folder`, as below /root, the cluster lies under
    /// /var/lib/daruma-sandbox, and `folder` holds a link to it.
    package static func open(
        folder: String, _ configuration: SandboxConfiguration = .init()
    ) async throws -> PostgresSandbox {
        let binaries = try await PostgresBinaries.find()
        let account = try ServerAccount.current()
        let home = try PermanentHome(folder: folder, account: account).locate()
        if !Files.exists("\(home)/data") {
            var durable = configuration
            durable.isDurable = true
            let layout = SandboxLayout(
                folder: home, port: try PortReservation.unreserved(), configuration: durable)
            try await layout.create(binaries, account)
        }
        let (port, stored) = try SandboxLayout.load(home)
        return PostgresSandbox(
            configuration: stored, folder: home, port: port, binaries: binaries, account: account,
            reservation: nil, watchdog: nil)
    }

    /// Whether `folder` holds a sandbox.
    package static func exists(in folder: String) -> Bool {
        Files.exists("\(folder)/\(PermanentHome.clusterName)/data") || Files.exists("\(folder)/sandbox.conf")
    }

    /// Stops the server at once and deletes everything.
    public func remove() async throws {
        if server != nil { _ = try? await stop(.immediate) }
        if server != nil { try await kill() }
        releaseSharedMemory()
        Files.removeTree(socketFolder == folder ? folder : socketFolder)
        Files.removeTree(folder)
    }

    /// Frees the server's System V segment, which stays after SIGKILL and which only the next start would reuse.
    private func releaseSharedMemory() {
        let lines = (Files.read("\(dataFolder)/postmaster.pid") ?? "").split(
            separator: "\n", omittingEmptySubsequences: false)
        guard lines.count > 6 else { return }
        let named = lines[6].split(separator: " ")
        // The kernel reuses ids: only a segment with the server's key is the server's.
        let isStillIts = (Files.read("/proc/sysvipc/shm") ?? "").split(separator: "\n").contains {
            $0.split(separator: " ").prefix(2).elementsEqual(named)
        }
        if isStillIts, let id = named.last.flatMap({ Int32($0) }) { shmctl(id, IPC_RMID, nil) }
    }

    /// A connection string in URL form. Parts left out are the sandbox's own.
    ///
    /// - Parameters:
    ///   - user: the role.
    ///   - password: the password; the empty one is left out of the string.
    ///   - database: the database.
    ///   - host: the host.
    ///   - port: the port; that of a ``FaultRelay`` leads through it.
    ///   - parameters: libpq's, such as `application_name`.
    public func connectionURL(
        user: String? = nil, password: String? = nil, database: String? = nil, host: String? = nil,
        port: UInt16? = nil, parameters: [String: String] = [:]
    ) -> String {
        let password = password ?? configuration.password
        var url = "postgres://\((user ?? configuration.user).percentEncoded)"
        if !password.isEmpty { url += ":\(password.percentEncoded)" }
        url += "@\(host ?? self.host):\(port ?? self.port)/\((database ?? configuration.database).percentEncoded)"
        let query = parameters.sorted { $0.key < $1.key }.map { "\($0.key.percentEncoded)=\($0.value.percentEncoded)" }
        return query.isEmpty ? url : url + "?" + query.joined(separator: "&")
    }
}
