import PostgresTestKit

/// A cluster, a proxy before it, the observed services, and the watches of the nodes.
final class ClusterStage: Sendable {
    let cluster: PatroniCluster
    let proxy: ClusterProxy
    let services: [ObservedService]
    let watches: [RoleWatch]

    /// Starts all of them; ends them if one cannot start.
    init(_ cluster: PatroniCluster) async throws {
        self.cluster = cluster
        let network = cluster.network
        proxy = try await ClusterProxy(before: cluster, at: try await network.place("proxy", number: 40))
        let nodes = cluster.nodes.map { "\($0.host):\($0.port)" }
        func url(_ name: String, _ hosts: [String], _ attributes: String = "read-write") -> String {
            cluster.url(attributes, hosts: hosts, application: name)
        }
        let plans = [
            ObservedService.Plan(name: "all-hosts", databaseURL: url("all-hosts", nodes)),
            ObservedService.Plan(
                name: "dead-first", databaseURL: url("dead-first", ["\(ClusterNetwork.deadHost):5432"] + nodes)),
            ObservedService.Plan(
                name: "patient", databaseURL: url("patient", nodes),
                arguments: ["--outage-grace", "4s", "--ping-timeout", "6s"], grace: .seconds(4)),
            ObservedService.Plan(
                name: "prefer-standby", databaseURL: url("prefer-standby", nodes, "prefer-standby"), wantsStandby: true),
            ObservedService.Plan(
                name: "haproxy", databaseURL: url("haproxy", ["\(proxy.host):\(proxy.port)"]), isBehindProxy: true),
        ]
        var services: [ObservedService] = []
        do {
            for (index, plan) in plans.enumerated() {
                let place = try await network.place("service\(index + 1)", number: 21 + index)
                services.append(try await ObservedService(plan, at: place))
            }
        } catch {
            for service in services { _ = try? await service.stop() }
            await proxy.stop()
            throw error
        }
        self.services = services
        watches = cluster.nodes.map {
            RoleWatch($0, password: cluster.password, applications: plans.map(\.name))
        }
    }

    /// Ends the services, the proxy and the watches. Returns how each service ended.
    func stop() async throws -> [String: ServiceProcess.Exit] {
        var exits: [String: ServiceProcess.Exit] = [:]
        for service in services { exits[service.plan.name] = try await service.stop() }
        for watch in watches { await watch.stop() }
        await proxy.stop()
        return exits
    }

    // MARK: Waits

    /// Waits until the cluster is whole, the proxy routes to its leader, and no service has a failing `/ping`.
    func settle() async throws {
        try await cluster.waitUntilWhole(within: .seconds(90))
        let leader = try await cluster.leader()
        guard try await Deadline(in: .seconds(30)).wait(until: { proxy.routes(to: leader.name) }) else {
            throw SandboxError(.timedOut, "haproxy does not route to the leader, \(leader.name)")
        }
        try await awaitServices()
    }

    func awaitServices() async throws {
        var ill: String?
        let areWell = try await Deadline(in: .seconds(30)).wait(every: .milliseconds(50)) {
            ill = services.first { !$0.isWell }?.plan.name
            return ill == nil
        }
        guard areWell else { throw SandboxError(.service, "/ping of the service \(ill ?? "?") does not become good") }
    }

    /// The first node that begins to take writes after `begin`.
    func nextWriter(after begin: ContinuousClock.Instant) async throws -> (
        node: PatroniNode, at: ContinuousClock.Instant
    ) {
        var found: (node: PatroniNode, at: ContinuousClock.Instant)?
        let isFound = try await Deadline(in: .seconds(120)).wait(every: .milliseconds(5)) {
            for watch in watches {
                if let at = watch.first(.writable, after: begin) { found = (watch.node, at) }
            }
            return found != nil
        }
        guard isFound, let found else { throw SandboxError(.timedOut, "no node took writes again within two minutes") }
        return found
    }

    /// When a node other than this one began to take writes after `begin`; nil if none did.
    func nextWriter(otherThan node: PatroniNode, after begin: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        watches.filter { $0.node !== node }.compactMap { $0.first(.writable, after: begin) }.min()
    }

    func routed(to node: PatroniNode, after begin: ContinuousClock.Instant) async throws -> ContinuousClock.Instant {
        var found: ContinuousClock.Instant?
        let isFound = try await Deadline(in: .seconds(30)).wait {
            found = proxy.routed(to: node.name, after: begin)
            return found != nil
        }
        guard isFound, let found else { throw SandboxError(.timedOut, "haproxy did not route to \(node.name)") }
        return found
    }

    /// When the leader stopped taking writes.
    func lost(
        by leader: PatroniNode, after begin: ContinuousClock.Instant, before end: ContinuousClock.Instant
    ) -> ContinuousClock.Instant? {
        watches.first { $0.node === leader }?.record.changes
            .first { $0.at > begin && $0.at <= end && $0.role != .writable }?.at
    }

    /// The present leader and its followers.
    func scene() async throws -> ClusterFault.Stage {
        let leader = try await cluster.leader()
        func standbySessions(on node: PatroniNode) -> Int {
            watches.first { $0.node === node }?.record.counts.last { $0.application == "prefer-standby" }?.sessions ?? 0
        }
        let replicas = cluster.nodes.filter { $0 !== leader }
        return ClusterFault.Stage(
            cluster: cluster, leader: leader,
            replicas: replicas.sorted { standbySessions(on: $0) > standbySessions(on: $1) }, watches: watches)
    }
}
