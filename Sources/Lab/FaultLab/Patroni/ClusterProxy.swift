import DispatchLoop
import PostgresTestKit

/// A HAProxy before the nodes, with the checks that Patroni's documentation names: it routes to the leader.
final class ClusterProxy: Sendable {
    let host: String
    let port: UInt16
    private let process: ServiceProcess
    private let folder: TemporaryFolder
    private let route = Locked(RouteRecord())
    private let loop: BackgroundLoop

    /// Each server that got the traffic, and when.
    private struct RouteRecord {
        var changes: [(at: ContinuousClock.Instant, servers: Set<String>)] = []
    }

    init(before cluster: PatroniCluster, at place: ClusterNetwork.Place) async throws {
        guard let program = HAProxy.program else { throw SandboxError(.launch, "haproxy is not installed") }
        folder = try TemporaryFolder()
        host = place.host
        port = try PortReservation.unreserved()
        let (path, stats) = ("\(folder.path)/haproxy.cfg", "\(folder.path)/stats")
        try Files.write(Self.configuration(stats: stats, host: host, port: port, nodes: cluster.nodes), to: path)
        process = try await ServiceProcess.start(
            place.prefix + [program, "-db", "-f", path], logPath: "\(folder.path)/haproxy.log")
        loop = BackgroundLoop("haproxy's route", pause: .milliseconds(10)) { [route] in
            guard let text = try? UnixSocket.query(stats, "show stat -1 4 -1\n", within: .seconds(1)) else { return }
            let servers = ClusterProxy.serversUp(in: text)
            route.withLock { record in
                if record.changes.last?.servers != servers { record.changes.append((at: .now, servers: servers)) }
            }
        }
    }

    /// The template of Patroni's documentation (haproxy.cfg); a check every three seconds, two good ones bring a server
    /// up.
    static func configuration(stats: String, host: String, port: UInt16, nodes: [PatroniNode]) -> String {
        """
        global
            stats socket \(stats) mode 600
        defaults
            mode tcp
            retries 2
            timeout client 30m
            timeout connect 4s
            timeout server 30m
            timeout check 5s
        listen primary
            bind \(host):\(port)
            option httpchk OPTIONS /primary
            http-check expect status 200
            default-server inter 3s fall 3 rise 2 on-marked-down shutdown-sessions

        """ + nodes.map { "    server \($0.name) \($0.host):\($0.port) check port \($0.restPort)\n" }.joined()
    }

    /// The servers that are up in the answer to `show stat`.
    static func serversUp(in text: String) -> Set<String> {
        let rows = text.split(separator: "\n").map { $0.split(separator: ",", omittingEmptySubsequences: false) }
        guard let heading = rows.first, let status = heading.firstIndex(of: "status") else { return [] }
        return Set(rows.dropFirst().filter { $0.count > status && $0[status].hasPrefix("UP") }.map { String($0[1]) })
    }

    /// When it routed to this node and no other, at or after `begin`. (While a demoted leader counts as up as well, every
    /// other connect goes there.)
    func routed(to node: String, after begin: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        route.withLock { record -> ContinuousClock.Instant? in
            guard let first = record.changes.lastIndex(where: { $0.at <= begin }) ?? record.changes.indices.first else {
                return nil
            }
            return record.changes[first...].first { $0.servers == [node] }.map { max($0.at, begin) }
        }
    }

    /// Whether it routes to exactly this node now.
    func routes(to node: String) -> Bool { route.withLock { $0.changes.last?.servers == [node] } }

    func stop() async {
        await loop.stop()
        _ = try? await process.stop()
    }
}
