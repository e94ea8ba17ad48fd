import DispatchLoop
import PostgresTestKit

/// Faults of a cluster that Patroni operates, for a service whose connection string names its three hosts.
extension Fault {
    static let patroni = [
        onCluster(
            "patroni-switchover", title: "the leader of a Patroni cluster is switched over",
            expecting: .tolerated(back: .milliseconds(300)),
            begin: { scene in
                let (leader, next) = (scene.leader, scene.cluster.nodes.first { $0 !== scene.leader }?.name ?? "")
                // Patroni answers when it is done; the fault ends when a server takes writes.
                Task {
                    _ = await leader.order("/switchover", #"{"leader": "\#(leader.name)", "candidate": "\#(next)"}"#)
                }
            }),
        onCluster(
            "patroni-leader-killed", title: "the leader of a Patroni cluster is killed with its server",
            // As after a refusal; each try asks three hosts, so it takes longer than with one.
            expecting: .outage(
                grace: .milliseconds(800), established: .zero, fast: .milliseconds(5), back: .milliseconds(300)),
            begin: { try await $0.leader.kill() }),
        onCluster(
            "patroni-leader-frozen", title: "the leader of a Patroni cluster is frozen with its server",
            expecting: .silent, begin: { $0.leader.freeze() }),
    ]

    /// A cluster, its leader and the watches of its nodes.
    private final class Scene: Sendable {
        let cluster: PatroniCluster
        let leader: PatroniNode
        let watches: [RoleWatch]
        private let begun = Locked(ContinuousClock.now)

        init(_ cluster: PatroniCluster) async throws {
            self.cluster = cluster
            leader = try await cluster.leader()
            watches = cluster.nodes.map { RoleWatch($0, password: cluster.password) }
        }

        var begin: ContinuousClock.Instant {
            get { begun.withLock { $0 } }
            set { begun.withLock { $0 = newValue } }
        }

        /// When a server began to take writes after the fault's beginning.
        var writesAgain: ContinuousClock.Instant? {
            watches.compactMap { $0.first(.writable, after: begin) }.min()
        }

        func stop() async {
            for watch in watches { await watch.stop() }
            await cluster.remove()
        }
    }

    private static func onCluster(
        _ name: String, title: String, expecting expectation: Expectation,
        begin: @escaping @Sendable (Scene) async throws -> Void
    ) -> Fault {
        // One fault runs at a time, and each run of it makes its own scene.
        let scene = Locked<Scene?>(nil)
        @Sendable func current() throws -> Scene {
            guard let scene = scene.withLock({ $0 }) else { throw SandboxError(.service, "there is no cluster") }
            return scene
        }
        return Fault(
            name, title: title, ending: "another node takes writes", expecting: expectation,
            setup: FaultSetup(
                hold: .zero, quickHold: .zero, needs: [.patroni],
                prepare: { context in
                    let cluster = try await PatroniCluster.start(on: .loopback)
                    let made: Scene
                    do { made = try await Scene(cluster) } catch {
                        await cluster.remove()
                        throw error
                    }
                    scene.withLock { $0 = made }
                    context.onCleanUp {
                        scene.withLock { $0 = nil }
                        await made.stop()
                    }
                    context.use(clusterPorts: Set(cluster.nodes.map(\.port)))
                    context.launch.databaseURL = cluster.url("read-write")
                    try await context.await("the watch of the leader") {
                        made.watches.allSatisfy { $0.role.map { $0 != .away } ?? false }
                    }
                }),
            begin: { context in
                let scene = try current()
                scene.begin = .now
                try await begin(scene)
                try await context.await("the end of the leader's writes") {
                    scene.watches.contains { watch in
                        watch.node === scene.leader && watch.role != .writable
                    }
                }
            },
            end: { context in
                let scene = try current()
                try await context.await("another node that takes writes", within: .seconds(60)) {
                    scene.writesAgain != nil
                }
                let time = ((scene.writesAgain ?? .now) - scene.begin).shown
                context.note("a node took writes \(time) after the beginning; Patroni's ttl is 20 s, its loop 5 s")
            })
    }
}
