import Glibc

/// A private PostgreSQL in a folder of its own, made to be stopped, killed, frozen and started again.
///
/// It listens on the loopback address only. A throw-away sandbox (`make`) keeps its port while it is
/// stopped and is removed – server, folder, shared memory – with its maker, however the maker ends.
/// A permanent one (`open`) stays, and is operated by any process that opens the same folder.
///
///     try await PostgresSandbox.withSandbox { sandbox in
///         let url = sandbox.connectionURL()
///         try await sandbox.stop(.fast)
///         let time = try await sandbox.start()
///     }
package final class PostgresSandbox: Sendable {
    /// What the sandbox's own sessions are called; session counts leave them out.
    package static let applicationName = "daruma-sandbox"

    package let configuration: SandboxConfiguration
    /// The folder of the cluster: `data/`, `server.log`, the Unix socket.
    package let folder: String
    package let port: UInt16
    package let host = "127.0.0.1"
    package let isPermanent: Bool

    let binaries: PostgresBinaries
    package let account: ServerAccount
    private let reservation: PortReservation?
    private let lifeline: CleanupWatchdog?

    package var dataFolder: String { "\(folder)/data" }
    package var logPath: String { "\(folder)/server.log" }
    /// Where the Unix socket is; `PGHOST` for tools that shall not go through TCP.
    package var socketFolder: String { SandboxLayout.socketFolder(for: folder) }

    init(
        configuration: SandboxConfiguration, folder: String, port: UInt16, binaries: PostgresBinaries,
        account: ServerAccount, reservation: PortReservation?, lifeline: CleanupWatchdog?
    ) {
        self.configuration = configuration
        self.folder = folder
        self.port = port
        self.binaries = binaries
        self.account = account
        self.reservation = reservation
        self.lifeline = lifeline
        isPermanent = lifeline == nil
    }

    /// Makes a throw-away sandbox, not started yet.
    package static func make(_ configuration: SandboxConfiguration = .init()) async throws -> PostgresSandbox {
        let binaries = try await PostgresBinaries.find()
        let account = try ServerAccount.current()
        let made = try Files.makeTemporaryFolder("\(Files.scratch)/daruma-sandbox-")
        let folder = Files.canonical(made) ?? made
        // The watchdog comes first: from here on nothing is left behind.
        let lifeline = try await CleanupWatchdog(
            script: SandboxLayout.removalScript, arguments: [folder, SandboxLayout.socketFolder(for: folder)])
        do {
            try Files.give(folder, to: account)
            guard account.canReach(folder) else {
                throw SandboxError(.folder, "\(folder) is out of the reach of the user `postgres`: set TMPDIR")
            }
            let reservation = try PortReservation()
            try await SandboxLayout(folder: folder, port: reservation.port, configuration: configuration)
                .create(binaries, account)
            return PostgresSandbox(
                configuration: configuration, folder: folder, port: reservation.port, binaries: binaries,
                account: account, reservation: reservation, lifeline: lifeline)
        } catch {
            Files.removeTree(folder)
            throw error
        }
    }

    /// Makes and starts a throw-away sandbox for the time of `body`.
    package static func withSandbox<Result>(
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

    /// Opens the permanent sandbox in `folder`; makes it, data durable, when there is none.
    ///
    /// When root calls and the server's user cannot reach `folder` (below /root, say), the cluster lives
    /// under /var/lib/daruma-sandbox and `folder` holds a link to it.
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
            reservation: nil, lifeline: nil)
    }

    /// Whether there is a sandbox in `folder`.
    package static func exists(in folder: String) -> Bool {
        Files.exists("\(folder)/\(PermanentHome.clusterName)/data") || Files.exists("\(folder)/sandbox.conf")
    }

    /// Stops the server at once and deletes everything.
    package func remove() async throws {
        if server != nil { _ = try? await stop(.immediate) }
        if server != nil { try await kill() }
        releaseSharedMemory()
        Files.removeTree(socketFolder == folder ? folder : socketFolder)
        Files.removeTree(folder)
        // The watchdog finds nothing to do when the last reference to the sandbox goes.
    }

    /// After kill -9 the kernel keeps the server's small System V segment, whose only purpose is to
    /// betray processes that are still attached. The next start would recycle it; there will be none.
    private func releaseSharedMemory() {
        let lines = (Files.read("\(dataFolder)/postmaster.pid") ?? "").split(
            separator: "\n", omittingEmptySubsequences: false)
        guard lines.count > 6 else { return }
        let named = lines[6].split(separator: " ")
        // Ids are given out again: only a segment that still has the server's key is the server's.
        let isStillIts = (Files.read("/proc/sysvipc/shm") ?? "").split(separator: "\n").contains {
            $0.split(separator: " ").prefix(2).elementsEqual(named)
        }
        if isStillIts, let id = named.last.flatMap({ Int32($0) }) { shmctl(id, IPC_RMID, nil) }
    }

    /// A connection string in URL form. Parts left out are the sandbox's own; `password: ""` leaves the
    /// password out of the URL.
    package func connectionURL(
        user: String? = nil, password: String? = nil, database: String? = nil, host: String? = nil,
        port: UInt16? = nil, parameters: [String: String] = [:]
    ) -> String {
        let password = password ?? configuration.password
        var url = "postgres://\(escaped(user ?? configuration.user))"
        if !password.isEmpty { url += ":\(escaped(password))" }
        url += "@\(host ?? self.host):\(port ?? self.port)/\(escaped(database ?? configuration.database))"
        let query = parameters.sorted { $0.key < $1.key }.map { "\(escaped($0.key))=\(escaped($0.value))" }
        return query.isEmpty ? url : url + "?" + query.joined(separator: "&")
    }

    private func escaped(_ text: String) -> String {
        text.utf8.map { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
                String(UnicodeScalar(byte))
            default:
                "%" + (byte < 16 ? "0" : "") + String(byte, radix: 16, uppercase: true)
            }
        }.joined()
    }
}
