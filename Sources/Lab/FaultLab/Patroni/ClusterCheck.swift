import PostgresTestKit

/// Runs services on a cluster of three nodes that Patroni operates, and its faults one after the other.
package struct ClusterCheck: Sendable {
    package struct Settings: Sendable {
        package var faults = ClusterFault.all
        /// The limit for the first good `/ping` after a server takes writes.
        var backLimit = Duration.milliseconds(300)
        /// The most connects of a service in one second.
        var connectLimit = 20
        /// How long sessions may stay on a server of the wrong role.
        var roleLimit = Duration.seconds(1)

        package init() {}
    }

    package struct Report: Sendable {
        package let lines: [String]
        package let checks: [Check]
    }

    private let settings: Settings
    private let log: @Sendable (String) -> Void

    package init(_ settings: Settings = Settings(), log: @escaping @Sendable (String) -> Void = { _ in }) {
        self.settings = settings
        self.log = log
    }

    /// Makes the cluster and the services, and removes them. The process must have a network namespace of its own.
    package func run() async throws -> Report {
        let network = try await ClusterNetwork.bridged()
        let begin = ContinuousClock.now
        let cluster = try await PatroniCluster.start(on: network)
        log("the cluster of three is whole after \((ContinuousClock.now - begin).shown)")
        let stage: ClusterStage
        do {
            stage = try await ClusterStage(cluster)
        } catch {
            await cluster.remove()
            throw error
        }
        do {
            var results: [ClusterResult] = []
            for fault in settings.faults { results.append(try await run(fault, on: stage)) }
            let exits = try await stage.stop()
            await cluster.remove()
            return report(results, exits)
        } catch {
            // A separate task, because a cancellation must not leave anything behind.
            await Task {
                _ = try? await stage.stop()
                await cluster.remove()
            }.value
            throw error
        }
    }

    // MARK: One fault

    private func run(_ fault: ClusterFault, on stage: ClusterStage) async throws -> ClusterResult {
        try await stage.settle()
        let lengths = stage.services.map { Files.size($0.process.logPath) }
        let scene = try await stage.scene()
        log("\(fault.title) (\(scene.leader.name) leads)")
        let begin = ContinuousClock.now
        var remark: String?
        var writer: (node: PatroniNode, at: ContinuousClock.Instant)?
        do {
            if fault.beginsWithLoss {
                try await fault.begin(scene)
                writer = try await stage.nextWriter(after: .now)
            } else {
                // Patroni answers some orders only when they are done.
                async let injection: Void = fault.begin(scene)
                if fault.losesWrites { writer = try await stage.nextWriter(after: begin) }
                try await injection
            }
        } catch {
            _ = await Task { try? await fault.end(scene) }.value
            throw error
        }
        var routed: ContinuousClock.Instant?
        if let writer {
            log("  \(writer.node.name) takes writes \((writer.at - begin).shown) after the beginning")
            routed = try await stage.routed(to: writer.node, after: writer.at)
        }
        try await stage.awaitServices()
        try await Task.sleep(for: .seconds(2))
        remark = try await fault.end(scene)
        try await stage.settle()
        try await Task.sleep(for: .seconds(1))
        var end = ContinuousClock.now
        // A thawed leader may take its lock again, and Patroni then moves the lead once more: another fault.
        if let writer, let again = stage.nextWriter(otherThan: writer.node, after: writer.at) {
            end = stage.lost(by: writer.node, after: writer.at, before: again) ?? again
            remark = [remark, "another node took writes \((again - writer.at).shown) later; judged until then"]
                .compactMap { $0 }.joined(separator: "; ")
        }
        let lost = writer == nil ? nil : stage.lost(by: scene.leader, after: begin, before: writer?.at ?? end)

        var rows: [ClusterResult.Row] = []
        for (service, length) in zip(stage.services, lengths) {
            let back = service.plan.isBehindProxy ? routed : writer?.at
            var moments = ClusterFigures.Moments(begin: begin, lost: lost, back: back, writes: writer?.at, end: end)
            moments.established = service.plan.grace + .milliseconds(2_250)
            let wrong: RoleRecord.Role = service.plan.wantsStandby ? .writable : .readOnly
            let records = stage.watches.map(\.record)
            rows.append(
                ClusterResult.Row(
                    plan: service.plan, figures: service.figures(moments),
                    connects: service.connects.most(from: begin, to: back ?? end),
                    misplaced: records.map { $0.longest(service.plan.name, on: wrong, from: begin, to: end) }.max()
                        ?? .zero,
                    complaints: service.complaints(since: length).map(String.init)))
        }
        return ClusterResult(
            fault: fault, writesAway: lost.flatMap { lost in writer.map { $0.at - lost } },
            routeAway: lost.flatMap { lost in routed.map { $0 - lost } }, remark: remark, rows: rows)
    }

    // MARK: Report

    private func report(_ results: [ClusterResult], _ exits: [String: ServiceProcess.Exit]) -> Report {
        let heading = [
            "fault, service", "no writes", "/ping", "failing", "slowest", "back after", "failing then", "connects/s",
            "wrong role", "lines",
        ]
        var table = TextTable(heading)
        var checks: [Check] = []
        for result in results {
            for row in result.rows {
                table.rows.append(row.cells(of: result))
                checks += row.checks(of: result, settings)
            }
            if let remark = result.remark {
                checks.append(Check(isKept: true, text: "\(result.fault.name): \(remark)"))
            }
        }
        for (name, exit) in exits.sorted(by: { $0.key < $1.key }) where exit != .code(0) {
            checks.append(Check(isKept: false, text: "\(name) ended with \(exit)"))
        }
        return Report(lines: table.lines, checks: checks)
    }
}
