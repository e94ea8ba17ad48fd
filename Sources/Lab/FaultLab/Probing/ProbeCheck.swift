import DispatchLoop
import PostgresTestKit

/// Stops and starts the database of a service under the eyes of orchestrators – a real HAProxy, a prober like
/// Kubernetes', one like a cloud's load balancer – and holds what they see against what is promised: `/livez` never
/// fails, `/readyz` that requires the database follows it, and does not flap when the database does.
package struct ProbeCheck: Sendable {
    package struct Settings: Sendable {
        /// How often each of them asks.
        package var interval = Duration.milliseconds(100)
        /// Plain stops and starts.
        package var rounds = 3
        package var hold = Duration.seconds(3)
        /// How long the database stays between rounds: longer than what counts as a relapse.
        package var pause = Duration.seconds(4)
        /// For how long it comes and goes.
        package var flapping = Duration.seconds(30)
        /// How long it is away and there at a time, in milliseconds.
        package var flapRange: ClosedRange<Int64> = 200...2000
        /// Whether to wait, once it stays, until that has been believed; up to a quarter of a minute.
        package var waitsForTheEnd = true
        package var seed = UInt64.random(in: 0 ... .max)
        /// The longest that a flip may take, and the most flips while it flaps: it cannot be known at the first return
        /// that it will not last.
        package var answerLimit = Duration.seconds(1)
        package var flips = 3

        package init() {}
    }

    /// What one of them saw.
    package struct Row: Sendable {
        package let record: ProbeRecord
        /// From the stop, and from the first login that works, to the change of mind; nil where there was none.
        package let down: [Duration?]
        package let up: [Duration?]
        package let flips: Int
        /// Whether the database is its business.
        package let follows: Bool
    }

    package struct Report: Sendable {
        package let rows: [Row]
        package let verdicts: [Check]
        package let outages: Int
        package var isKept: Bool { verdicts.allSatisfy(\.isKept) }
    }

    package let settings: Settings
    private let say: @Sendable (String) -> Void

    package init(_ settings: Settings = Settings(), say: @escaping @Sendable (String) -> Void = { _ in }) {
        self.settings = settings
        self.say = say
    }

    /// Runs it on a database, a service and a HAProxy of its own.
    package func run() async throws -> Report {
        try await PostgresSandbox.withSandbox { sandbox in
            let service = try await ServiceProcess.start(
                [
                    try ServiceProcess.darumaBinary(), "serve", "--host", "127.0.0.1", "--port", "0",
                    "--ready-requires-db", "true",
                ], environment: ["DATABASE_URL": sandbox.connectionURL(), "PORT": nil, "HOST": nil])
            let result: Swift.Result<Report, any Error>
            do {
                let port = try await service.waitUntilListening()
                let haproxy = try await HAProxy(before: port, every: settings.interval)
                do {
                    result = .success(try await observe(sandbox, port, haproxy))
                } catch {
                    result = .failure(error)
                }
                // A task of its own: what was started is stopped although this one may be cancelled.
                try await Task { try await haproxy.stop() }.value
            } catch {
                _ = await Task { try? await service.stop() }.value
                throw error
            }
            let exit = try await Task { try await service.stop() }.value
            let report = try result.get()
            let left = Check(isKept: exit == .code(0), text: "asked to leave, the service left with \(exit)")
            return Report(rows: report.rows, verdicts: report.verdicts + [left], outages: report.outages)
        }
    }

    private func observe(_ sandbox: PostgresSandbox, _ port: UInt16, _ haproxy: HAProxy) async throws -> Report {
        func watch(
            _ name: String, _ style: ProbeStyle, _ path: String, on port: UInt16, keeps: Bool
        ) -> ProbeWatch {
            ProbeWatch(name, style, path, on: port, keepsConnection: keeps, every: settings.interval)
        }
        let unmoved = [
            watch("kubelet /livez", .kubernetes, "/livez", on: port, keeps: false),
            watch("load balancer /livez", .loadBalancer, "/livez", on: port, keeps: true),
            watch("monitor HEAD /livez", .head, "/livez", on: port, keeps: true),
            watch("client of HAProxy /", .plain, "/", on: haproxy.port, keeps: true),
            ProbeWatch(haproxy, [.byDefault, .livez], every: .milliseconds(10)),
        ]
        let following = [
            watch("kubelet /readyz", .kubernetes, "/readyz", on: port, keeps: false),
            watch("load balancer /readyz", .loadBalancer, "/readyz", on: port, keeps: true),
            watch("OPTIONS /readyz", .haproxy, "/readyz", on: port, keeps: false),
            ProbeWatch(haproxy, [.readyz], every: .milliseconds(10)),
        ]
        let story: Result<Story, any Error>
        do {
            story = .success(try await tell(sandbox, following))
        } catch {
            story = .failure(error)
        }
        for watch in unmoved + following { await watch.stop() }
        return report(try story.get(), unmoved.flatMap(\.records), following.flatMap(\.records))
    }

    /// When what happened to the database.
    private struct Story: Sendable {
        var stops: [ContinuousClock.Instant] = []
        var starts: [ContinuousClock.Instant] = []
        var flapBegin = ContinuousClock.now
        var flapEnd = ContinuousClock.now
        var outages = 0
        var isReadyInTheEnd = false
    }

    private func tell(_ sandbox: PostgresSandbox, _ following: [ProbeWatch]) async throws -> Story {
        func areAll(_ isGood: Bool) -> Bool { following.flatMap(\.records).allSatisfy { $0.isGood == isGood } }
        guard try await Deadline(in: .seconds(20)).wait(until: { areAll(true) }) else {
            throw SandboxError(.service, "the service is not ready to begin with")
        }
        var story = Story()
        for round in 1...max(settings.rounds, 1) {
            // What was ready first may have been so for long enough only by now.
            try await Task.sleep(for: settings.pause)
            say("round \(round) of \(settings.rounds): the database is stopped")
            story.stops.append(.now)
            try await sandbox.stop(.fast)
            try await Task.sleep(for: settings.hold)
            _ = try await Deadline(in: .seconds(10)).wait { areAll(false) }
            try await sandbox.start()
            story.starts.append(.now)
            say("round \(round) of \(settings.rounds): logins work again")
            _ = try await Deadline(in: .seconds(20)).wait { areAll(true) }
            story.outages += 1
        }
        try await Task.sleep(for: settings.pause)
        say("it comes and goes for \(settings.flapping.shown) (seed \(settings.seed))")
        story.flapBegin = .now
        var random = SplitMix64(seed: settings.seed)
        while ContinuousClock.now - story.flapBegin < settings.flapping {
            try await sandbox.stop(.fast)
            try await Task.sleep(for: .milliseconds(Int64.random(in: settings.flapRange, using: &random)))
            try await sandbox.start()
            try await Task.sleep(for: .milliseconds(Int64.random(in: settings.flapRange, using: &random)))
            story.outages += 1
        }
        story.flapEnd = .now
        guard settings.waitsForTheEnd else { return story }
        say("it stays")
        story.isReadyInTheEnd = try await Deadline(in: .seconds(30)).wait { areAll(true) }
        return story
    }

    private func report(_ story: Story, _ unmoved: [ProbeRecord], _ following: [ProbeRecord]) -> Report {
        func row(_ record: ProbeRecord, follows: Bool) -> Row {
            Row(
                record: record, down: story.stops.map { record.delay(of: false, after: $0) },
                up: story.starts.map { record.delay(of: true, after: $0) },
                flips: record.flips(from: story.flapBegin, to: story.flapEnd), follows: follows)
        }
        var verdicts: [Check] = []
        for record in unmoved {
            let slowest = record.worst == .zero ? "" : ", the slowest answer in \(record.worst.shown)"
            let text =
                record.bad == 0
                ? "\(record.name): good all \(record.asked) times\(slowest)"
                : "\(record.name): bad \(record.bad) of \(record.asked) times, first: \(record.firstBad ?? "?")"
            verdicts.append(Check(isKept: record.bad == 0 && record.asked > 0, text: text))
        }
        let rows = following.map { row($0, follows: true) }
        for row in rows {
            for (what, delays) in [("not ready", row.down), ("ready again", row.up)] {
                let worst = delays.contains { $0 == nil } ? nil : delays.compactMap { $0 }.max()
                verdicts.append(
                    Check(isKept: worst != nil, text: "\(row.record.name): \(what) in each of \(delays.count) rounds")
                )
                guard let worst else { continue }
                verdicts.append(
                    Check(
                        isKept: worst <= settings.answerLimit, isTiming: true,
                        text: "\(row.record.name): \(what) after \(worst.shown) at most "
                            + "(at most \(settings.answerLimit.shown))"))
            }
            verdicts.append(
                Check(
                    isKept: row.flips <= settings.flips,
                    text: "\(row.record.name): \(row.flips) flips while the database came and went "
                        + "(at most \(settings.flips))"))
        }
        if settings.waitsForTheEnd {
            verdicts.append(
                Check(
                    isKept: story.isReadyInTheEnd, text: "once the database stayed, all saw the service ready again"))
        }
        return Report(
            rows: unmoved.map { row($0, follows: false) } + rows, verdicts: verdicts, outages: story.outages)
    }
}

extension ProbeCheck.Report {
    /// The rows in columns.
    package var lines: [String] {
        func worst(_ delays: [Duration?]) -> String {
            delays.contains { $0 == nil } ? "never" : delays.compactMap { $0 }.max()?.shown ?? "-"
        }
        let heading = ["prober", "asked", "bad", "slowest", "not ready after", "ready after", "flips in the loop"]
        return columns(
            [heading]
                + rows.map { row in
                    let record = row.record
                    return [
                        record.name, "\(record.asked)", "\(record.bad)",
                        record.worst == .zero ? "-" : record.worst.shown,
                        row.follows ? worst(row.down) : "-", row.follows ? worst(row.up) : "-", "\(row.flips)",
                    ]
                })
    }
}
