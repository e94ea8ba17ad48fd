import DispatchLoop
import Glibc
import PostgresTestKit

/// A node of a cluster: Patroni and the PostgreSQL that it operates.
package final class PatroniNode: Sendable {
    package let name: String
    let place: ClusterNetwork.Place
    /// PostgreSQL's port.
    package let port: UInt16
    /// The port of Patroni's REST API.
    let restPort: UInt16
    /// Holds Patroni's settings and log, the data and the Unix socket.
    let folder: String
    private let account: ServerAccount
    private let process = Locked<ServiceProcess?>(nil)

    package var host: String { place.host }
    var logPath: String { "\(folder)/patroni.log" }

    init(
        _ name: String, at place: ClusterNetwork.Place, port: UInt16, restPort: UInt16, folder: String,
        account: ServerAccount
    ) {
        self.name = name
        self.place = place
        self.port = port
        self.restPort = restPort
        self.folder = folder
        self.account = account
    }

    // MARK: Processes

    /// Starts Patroni. Does not wait for the server.
    package func start() async throws {
        let started = try await ServiceProcess.start(
            place.prefix + account.command(["/usr/bin/patroni", "\(folder)/patroni.yml"]),
            environment: ["HOME": folder], logPath: logPath)
        process.withLock { $0 = started }
    }

    /// Patroni's processes and the server's.
    private var processes: [Int32] {
        [process.withLock { $0 }?.id, serverID].compactMap { $0 }.flatMap(Self.tree)
    }

    /// The postmaster's process; nil while there is none.
    private var serverID: Int32? {
        guard let line = Files.read("\(folder)/data/postmaster.pid")?.split(separator: "\n").first,
            let id = Int32(line), let entry = ProcessTable.entry(id), !entry.hasEnded
        else { return nil }
        return id
    }

    /// A process and all its descendants.
    private static func tree(of root: Int32) -> [Int32] {
        let entries = ProcessTable.identifiers.compactMap(ProcessTable.entry)
        var found = [root]
        var next = 0
        while next < found.count {
            let parent = found[next]
            next += 1
            found += entries.filter { $0.parent == parent }.map(\.id)
        }
        return found
    }

    /// Kills the server only: Patroni notices and starts it again.
    package func killServer() throws {
        guard let serverID else { throw SandboxError(.notRunning, "\(name) has no running server") }
        Glibc.kill(serverID, SIGKILL)
    }

    /// Kills all processes at once, as when the machine loses its power.
    package func kill() async throws {
        // Stopped first, so that none of them starts another meanwhile.
        send(SIGSTOP)
        send(SIGKILL)
        let old = process.withLock { $0.take() }
        _ = try await old?.waitForExit(within: .seconds(10))
        guard try await Deadline(in: .seconds(10)).wait(until: { self.serverID == nil }) else {
            throw SandboxError(.timedOut, "the killed server of \(name) still runs")
        }
    }

    package func freeze() { send(SIGSTOP) }
    package func thaw() { send(SIGCONT) }

    private func send(_ signal: Int32) { for id in processes { Glibc.kill(id, signal) } }

    /// Ends Patroni, which stops its server, or kills both.
    func stop() async {
        thaw()
        let old = process.withLock { $0.take() }
        _ = try? await old?.stop(within: .seconds(10))
        if let serverID { for id in Self.tree(of: serverID) { Glibc.kill(id, SIGKILL) } }
    }

    // MARK: Patroni's REST API

    /// Whether Patroni answers a health check, such as `/primary`, with 200.
    func confirms(_ path: String) async -> Bool {
        await HTTPProbe.get(path, host: host, port: restPort, limit: .seconds(2)).isGood
    }

    /// Sends a command, such as `/switchover`, and returns Patroni's answer. It may take as long as the command.
    func order(_ path: String, _ body: String = "{}") async -> HTTPExchange {
        await HTTPProbe.post(path, body, host: host, port: restPort, limit: .seconds(60))
    }

    // MARK: Settings

    /// Patroni's settings, as YAML.
    static func settings(
        name: String, host: String, port: UInt16, restPort: UInt16, etcd: String, folder: String, binaries: String,
        password: String, timing: PatroniCluster.Timing
    ) -> String {
        """
        scope: daruma
        name: \(name)
        restapi:
          listen: "\(host):\(restPort)"
          connect_address: "\(host):\(restPort)"
        etcd3:
          host: "\(etcd)"
        bootstrap:
          dcs:
            ttl: \(timing.ttl)
            loop_wait: \(timing.loopWait)
            retry_timeout: \(timing.retryTimeout)
            postgresql:
              use_pg_rewind: true
              parameters:
                max_connections: 80
                shared_buffers: 16MB
                wal_keep_size: 64MB
                dynamic_shared_memory_type: mmap
                lc_messages: C
                # The machine does not crash, only processes do.
                fsync: "off"
          initdb: [{encoding: UTF8}, no-locale, no-sync]
        postgresql:
          listen: "\(host):\(port)"
          connect_address: "\(host):\(port)"
          data_dir: "\(folder)/data"
          bin_dir: "\(binaries)"
          pgpass: "\(folder)/pgpass"
          authentication:
            superuser: {username: postgres, password: "\(password)"}
            replication: {username: replicator, password: "\(password)"}
            rewind: {username: rewinder, password: "\(password)"}
          parameters:
            unix_socket_directories: "\(folder)"
          pg_hba:
            - local all all trust
            - host all postgres 0.0.0.0/0 password
            - host all,replication all 0.0.0.0/0 scram-sha-256

        """
    }
}
