import DispatchLoop
import Glibc
import PostgresTestKit

/// Three PostgreSQL servers that Patroni operates, with one etcd.
package final class PatroniCluster: Sendable {
    /// How soon Patroni acts.
    package struct Timing: Sendable {
        /// How long a leader that falls silent keeps its lock, in seconds.
        var ttl = 20
        var loopWait = 5
        /// How long the leader goes on without etcd.
        var retryTimeout = 5

        package init() {}
    }

    /// The role and the database of the observed services.
    package static let user = "daruma"
    package static let database = "daruma"

    package let nodes: [PatroniNode]
    package let network: ClusterNetwork
    private let etcdPort: UInt16
    private let etcdPeerPort: UInt16
    private let folder: String
    /// Of the superuser and of the services' role.
    let password: String
    private let account: ServerAccount
    private let etcd = Locked<ServiceProcess?>(nil)
    private let watchdog: CleanupWatchdog

    /// Why this machine cannot run a cluster; nil if it can.
    package static func reasonMissing() -> String? {
        let missing = ["patroni", "etcd"].filter { !Files.isExecutable("/usr/bin/\($0)") }
        if missing.isEmpty { return nil }
        return "\(missing.joined(separator: " and ")) not installed: apt-get install patroni python3-etcd etcd-server"
    }

    /// Makes a cluster, and starts it.
    package static func start(on network: ClusterNetwork, timing: Timing = Timing()) async throws -> PatroniCluster {
        if let reason = reasonMissing() { throw SandboxError(.missingBinaries, reason) }
        let cluster = try await PatroniCluster(on: network, timing)
        do {
            try await cluster.start()
            return cluster
        } catch {
            await cluster.remove()
            throw error
        }
    }

    private init(on network: ClusterNetwork, _ timing: Timing) async throws {
        self.network = network
        let binaries = try await PostgresBinaries.find()
        account = try ServerAccount.current()
        folder = try Files.makeTemporaryFolder("\(Files.scratch)/daruma-cluster-")
        watchdog = try await CleanupWatchdog(script: Self.removalScript, arguments: [folder])
        try Files.give(folder, to: account)
        password = String(UInt64.random(in: 0 ... .max), radix: 16)
        etcdPort = try PortReservation.unreserved()
        etcdPeerPort = try PortReservation.unreserved()
        var nodes: [PatroniNode] = []
        for number in 1...3 {
            let name = "node\(number)"
            let node = PatroniNode(
                name, at: try await network.place(name, number: number), port: try PortReservation.unreserved(),
                restPort: try PortReservation.unreserved(), folder: "\(folder)/\(name)", account: account)
            try Files.makeFolder(node.folder, mode: 0o700)
            let path = "\(node.folder)/patroni.yml"
            try Files.write(
                PatroniNode.settings(
                    name: name, host: node.host, port: node.port, restPort: node.restPort,
                    etcd: "\(network.here.host):\(etcdPort)", folder: node.folder, binaries: binaries.folder,
                    password: password, timing: timing),
                to: path)
            for given in [node.folder, path] { try Files.give(given, to: account) }
            nodes.append(node)
        }
        self.nodes = nodes
    }

    private func start() async throws {
        try await startEtcd()
        for node in nodes { try await node.start() }
        try await waitUntilWhole(within: .seconds(90))
        let session = try await superuserSession(on: leader())
        try await offCooperativeThreads { [password] in
            let role = SQLText.identifier(Self.user)
            let limit = Deadline(in: .seconds(20))
            _ = try session.query("create role \(role) login password \(SQLText.literal(password))", deadline: limit)
            _ = try session.query("create database \(Self.database) owner \(role)", deadline: limit)
        }
        // Until the others have both.
        try await waitUntilWhole(within: .seconds(30))
    }

    /// Ends everything and deletes it.
    package func remove() async {
        await withTaskGroup(of: Void.self) { group in
            for node in nodes { group.addTask { await node.stop() } }
        }
        _ = try? await etcd.withLock { $0.take() }?.stop()
        Files.removeTree(folder)
    }

    /// `$1` is the folder. Patroni is gone by then: each of its processes has a watchdog.
    private static let removalScript = """
        while [ -e "$1" ]; do
            for file in "$1"/*/data/postmaster.pid; do
                [ -e "$file" ] && kill -KILL -- "$(head -n 1 "$file")" 2>/dev/null
            done
            rm -rf -- "$1"
            sleep 0.2
        done
        """

    // MARK: etcd

    package func startEtcd() async throws {
        let (clients, peers) = (
            "http://\(network.here.host):\(etcdPort)", "http://127.0.0.1:\(etcdPeerPort)"
        )
        let started = try await ServiceProcess.start(
            account.command([
                "/usr/bin/etcd", "--data-dir", "\(folder)/etcd", "--listen-client-urls", clients,
                "--advertise-client-urls", clients, "--listen-peer-urls", peers, "--initial-advertise-peer-urls",
                peers, "--initial-cluster", "default=\(peers)", "--unsafe-no-fsync",
            ]), logPath: "\(folder)/etcd.log")
        etcd.withLock { $0 = started }
    }

    package func stopEtcd() async throws { try await etcd.withLock { $0.take() }?.stop() }

    // MARK: State

    /// The node whose Patroni says that it leads.
    package func leader() async throws -> PatroniNode {
        for node in nodes where await node.confirms("/primary") { return node }
        throw SandboxError(.service, "the cluster has no leader")
    }

    /// Whether the leader streams to all others, and has nothing left to send.
    private func isStreaming(_ leader: PatroniNode) async -> Bool {
        guard let session = try? await superuserSession(on: leader) else { return false }
        let question = """
            select count(*) from pg_stat_replication
            where state = 'streaming' and replay_lsn = pg_current_wal_lsn()
            """
        let rows = await offCooperativeThreads { try? session.query(question, deadline: Deadline(in: .seconds(2))) }
        return rows == [["\(nodes.count - 1)"]]
    }

    /// Waits until one node leads and the others follow it.
    package func waitUntilWhole(within limit: Duration = .seconds(60)) async throws {
        let isWhole = try await Deadline(in: limit).wait(every: .milliseconds(100)) {
            var leaders: [PatroniNode] = []
            var followers = 0
            for node in self.nodes {
                if await node.confirms("/primary") {
                    leaders.append(node)
                } else if await node.confirms("/replica?lag=1MB") {
                    followers += 1
                }
            }
            guard let leader = leaders.first, leaders.count == 1, followers == self.nodes.count - 1 else {
                return false
            }
            return await self.isStreaming(leader)
        }
        guard isWhole else {
            let tails = nodes.map { "\($0.name): \(Files.tail($0.logPath, lines: 3) ?? "")" }
            throw SandboxError(
                .timedOut, "the cluster was not whole within \(limit)", logTail: tails.joined(separator: "\n"))
        }
    }

    func superuserSession(on node: PatroniNode) async throws -> ServerSession {
        try await offCooperativeThreads { [password] in
            try ServerSession(host: node.host, port: node.port, password: password, deadline: Deadline(in: .seconds(5)))
        }
    }

    // MARK: Connection strings

    /// A connection string that names hosts as `host:port`; all nodes by default.
    package func url(
        _ attributes: String, hosts: [String]? = nil, application: String = "daruma"
    ) -> String {
        let hosts = hosts ?? nodes.map { "\($0.host):\($0.port)" }
        return "postgres://\(Self.user):\(password)@\(hosts.joined(separator: ","))/\(Self.database)"
            + "?target_session_attrs=\(attributes)&application_name=\(application)"
    }
}
