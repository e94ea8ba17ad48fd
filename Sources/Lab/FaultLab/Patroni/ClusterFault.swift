import PostgresTestKit

/// A fault of a cluster, as the check runs it.
package struct ClusterFault: Sendable {
    /// What a fault acts on.
    struct Stage: Sendable {
        let cluster: PatroniCluster
        let leader: PatroniNode
        /// The leader's followers; the first has the sessions of services that prefer a standby.
        let replicas: [PatroniNode]
        let watches: [RoleWatch]

        func role(of node: PatroniNode) -> RoleRecord.Role? {
            watches.first { $0.node === node }?.role
        }

        /// Polls until a server has the role, or until it has lost it.
        func await(_ node: PatroniNode, is role: RoleRecord.Role, _ isWanted: Bool = true) async throws {
            let isReached = try await Deadline(in: .seconds(60)).wait {
                (self.role(of: node) == role) == isWanted
            }
            guard isReached else {
                throw SandboxError(
                    .timedOut, "\(node.name) did not become\(isWanted ? "" : " other than") \(role.rawValue)")
            }
        }
    }

    package let name: String
    let title: String
    /// Whether it is one of the short run.
    package let isShort: Bool
    /// Whether the leader stops taking writes, so that one must take them again.
    let losesWrites: Bool
    /// Whether it ends soon: a service with a grace of seconds does not see it.
    var isBrief = false
    /// Whether `begin` returns only when the leader has lost its role.
    var beginsWithLoss = false
    let begin: @Sendable (Stage) async throws -> Void
    /// Makes the cluster whole again. Returns a remark for the report, if there is one.
    var end: @Sendable (Stage) async throws -> String? = { _ in nil }

    /// All of them.
    package static let all = [
        ClusterFault(
            name: "switchover", title: "the leader is switched over", isShort: true, losesWrites: true, isBrief: true,
            begin: { stage in
                let body = #"{"leader": "\#(stage.leader.name)", "candidate": "\#(stage.replicas[0].name)"}"#
                try await order(stage.leader, "/switchover", body)
            }),
        ClusterFault(
            name: "restart", title: "the leader's server is restarted", isShort: true, losesWrites: true, isBrief: true,
            begin: { try await order($0.leader, "/restart") }),
        ClusterFault(
            name: "server-killed", title: "the leader's server is killed", isShort: true, losesWrites: true,
            begin: { try $0.leader.killServer() }),
        ClusterFault(
            name: "reinitialised", title: "a replica is initialised again", isShort: true, losesWrites: false,
            begin: { stage in
                try await order(stage.replicas[0], "/reinitialize")
                try await stage.await(stage.replicas[0], is: .away)
                try await stage.await(stage.replicas[0], is: .readOnly)
            }),
        ClusterFault(
            name: "node-killed", title: "the leader's node is killed, and returns", isShort: true, losesWrites: true,
            begin: { try await $0.leader.kill() },
            end: { stage in
                let length = Files.size(stage.leader.logPath)
                try await stage.leader.start()
                try await stage.cluster.waitUntilWhole()
                let log = Files.read(stage.leader.logPath, from: length) ?? ""
                return "\(stage.leader.name) returned "
                    + (log.contains("running pg_rewind") ? "by pg_rewind" : "without the need of pg_rewind")
            }),
        ClusterFault(
            name: "node-frozen", title: "the leader's node is frozen, and thaws",
            isShort: false, losesWrites: true,
            begin: { $0.leader.freeze() },
            end: { stage in
                stage.leader.thaw()
                return nil
            }),
        ClusterFault(
            name: "node-cut-off", title: "the leader's node is cut off, and returns", isShort: false, losesWrites: true,
            begin: { try await $0.leader.place.cutOff() },
            end: { stage in
                try await stage.leader.place.reconnect()
                return nil
            }),
        ClusterFault(
            name: "etcd-gone", title: "etcd is gone until the leader has demoted itself", isShort: false,
            losesWrites: true, beginsWithLoss: true,
            begin: { stage in
                try await stage.cluster.stopEtcd()
                try await stage.await(stage.leader, is: .writable, false)
                // Long enough for the services to know it.
                try await stage.await(stage.leader, is: .readOnly)
                try await Task.sleep(for: .seconds(5))
                try await stage.cluster.startEtcd()
            }),
    ]

    private static func order(_ node: PatroniNode, _ path: String, _ body: String = "{}") async throws {
        let answer = await node.order(path, body)
        guard answer.status.map({ (200..<300).contains($0) }) ?? false else {
            throw SandboxError(.service, "Patroni refused \(path) on \(node.name): \(answer.summary) \(answer.body)")
        }
    }
}
