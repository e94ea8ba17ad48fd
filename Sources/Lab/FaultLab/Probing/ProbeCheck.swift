import DispatchLoop
import PostgresTestKit

/// Stops and starts the database while orchestrators probe the service: a real HAProxy, a prober like Kubernetes' and
/// one like a cloud's load balancer. `/livez` must never fail. `/readyz`, which here requires the database, must follow
/// it, and must not flap when the database does.
package struct ProbeCheck: Sendable {
    package struct Settings: Sendable {
        /// The interval of each prober.
        package var interval = Duration.milliseconds(100)
        /// The number of plain stops and starts.
        package var rounds = 3
        package var hold = Duration.seconds(3)
        /// How long the database stays up between rounds: longer than the service's flap window.
        package var pause = Duration.seconds(4)
        /// How long the database flaps.
        package var flapping = Duration.seconds(30)
        /// The length of one down or up phase while it flaps, in milliseconds.
        package var flapRange: ClosedRange<Int64> = 200...2000
        /// Whether to wait until the service is ready again after the flapping, up to a quarter of a minute.
        package var waitsForTheEnd = true
        package var seed = UInt64.random(in: 0 ... .max)
        /// The limit for the delay of a change.
        package var answerLimit = Duration.seconds(1)
        /// The maximum number of changes while the database flaps. Not zero, because a first return looks like any
        /// other.
        package var flips = 3

        package init() {}
    }

    /// The results of one prober.
    package struct Row: Sendable {
        package let record: ProbeRecord
        /// The times from each stop to the change; nil without one.
        package let down: [Duration?]
        /// The times from each first working login to the change; nil without one.
        package let up: [Duration?]
        package let flips: Int
        /// Whether the prober must follow the database.
        package let follows: Bool
    }

    package struct Report: Sendable {
        package let rows: [Row]
        package let checks: [Check]
        package let outages: Int
        package var isKept: Bool { checks.allSatisfy(\.isKept) }
    }

    package let settings: Settings
    private let log: @Sendable (String) -> Void

    package init(_ settings: Settings = Settings(), log: @escaping @Sendable (String) -> Void = { _ in }) {
        self.settings = settings
        self.log = log
    }

    /// Runs the check on its own database, service and HAProxy.
    package func run() async throws -> Report {
        try await PostgresSandbox.withSandbox { sandbox in
            let arguments = ["--ready-requires-db", "true"]
            let url = sandbox.connectionURL()
            return try await ServiceProcess.withDaruma(arguments, databaseURL: url) { _, address in
                let haproxy = try await HAProxy(before: address.port, every: settings.interval)
                return try await haproxy.process.whileRunning(exitsWithZero: false) {
                    try await observe(sandbox, address.port, haproxy)
                }
            }
        }
    }

    private func observe(_ sandbox: PostgresSandbox, _ port: UInt16, _ haproxy: HAProxy) async throws -> Report {
        func watch(
            _ name: String, _ style: ProbeStyle, _ path: String, on port: UInt16, keeps: Bool
        ) -> ProbeWatch {
            ProbeWatch(name, style, path, on: port, keepsConnection: keeps, every: settings.interval)
        }
        let steady = [
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
        let events: Result<Events, any Error>
        do {
            events = .success(try await disturb(sandbox, following))
        } catch {
            events = .failure(error)
        }
        for watch in steady + following { await watch.stop() }
        return report(try events.get(), steady.flatMap(\.records), following.flatMap(\.records))
    }

    /// The moments at which the database was stopped and started.
    private struct Events: Sendable {
        var stops: [ContinuousClock.Instant] = []
        var starts: [ContinuousClock.Instant] = []
        var flapBegin = ContinuousClock.now
        var flapEnd = ContinuousClock.now
        var outages = 0
        var isReadyInTheEnd = false
    }

    private func disturb(_ sandbox: PostgresSandbox, _ following: [ProbeWatch]) async throws -> Events {
        func areAll(_ isGood: Bool) -> Bool { following.flatMap(\.records).allSatisfy { $0.isGood == isGood } }
        guard try await Deadline(in: .seconds(20)).wait(until: { areAll(true) }) else {
            throw SandboxError(.service, "the service was not ready before the first stop")
        }
        var events = Events()
        for round in 1...max(settings.rounds, 1) {
            // Lets readiness become stable first.
            try await Task.sleep(for: settings.pause)
            log("round \(round) of \(settings.rounds): the database is stopped")
            events.stops.append(.now)
            try await sandbox.stop(.fast)
            try await Task.sleep(for: settings.hold)
            _ = try await Deadline(in: .seconds(10)).wait { areAll(false) }
            try await sandbox.start()
            events.starts.append(.now)
            log("round \(round) of \(settings.rounds): logins work again")
            _ = try await Deadline(in: .seconds(20)).wait { areAll(true) }
            events.outages += 1
        }
        try await Task.sleep(for: settings.pause)
        log("the database flaps for \(settings.flapping.shown) (seed \(settings.seed))")
        events.flapBegin = .now
        var random = SplitMix64(seed: settings.seed)
        while ContinuousClock.now - events.flapBegin < settings.flapping {
            try await sandbox.stop(.fast)
            try await Task.sleep(for: .milliseconds(Int64.random(in: settings.flapRange, using: &random)))
            try await sandbox.start()
            try await Task.sleep(for: .milliseconds(Int64.random(in: settings.flapRange, using: &random)))
            events.outages += 1
        }
        events.flapEnd = .now
        guard settings.waitsForTheEnd else { return events }
        log("the database stays up")
        events.isReadyInTheEnd = try await Deadline(in: .seconds(30)).wait { areAll(true) }
        return events
    }

    private func report(_ events: Events, _ steady: [ProbeRecord], _ following: [ProbeRecord]) -> Report {
        func row(_ record: ProbeRecord, follows: Bool) -> Row {
            Row(
                record: record, down: events.stops.map { record.delay(of: false, after: $0) },
                up: events.starts.map { record.delay(of: true, after: $0) },
                flips: record.flips(from: events.flapBegin, to: events.flapEnd), follows: follows)
        }
        var checks: [Check] = []
        for record in steady {
            let slowest = record.worst == .zero ? "" : ", the slowest answer in \(record.worst.shown)"
            let text =
                record.bad == 0
                ? "\(record.name): good all \(record.count) times\(slowest)"
                : "\(record.name): bad \(record.bad) of \(record.count) times, first: \(record.firstBad ?? "?")"
            checks.append(Check(isKept: record.bad == 0 && record.count > 0, text: text))
        }
        let rows = following.map { row($0, follows: true) }
        for row in rows {
            for (what, delays) in [("not ready", row.down), ("ready again", row.up)] {
                let worst = delays.contains { $0 == nil } ? nil : delays.compactMap { $0 }.max()
                checks.append(
                    Check(isKept: worst != nil, text: "\(row.record.name): \(what) in each of \(delays.count) rounds")
                )
                guard let worst else { continue }
                checks.append(
                    Check(
                        isKept: worst <= settings.answerLimit, isTiming: true,
                        text: "\(row.record.name): \(what) after \(worst.shown) at most "
                            + "(at most \(settings.answerLimit.shown))"))
            }
            checks.append(
                Check(
                    isKept: row.flips <= settings.flips,
                    text: "\(row.record.name): \(row.flips) changes while the database flapped "
                        + "(at most \(settings.flips))"))
        }
        if settings.waitsForTheEnd {
            checks.append(
                Check(
                    isKept: events.isReadyInTheEnd, text: "after the flapping all probers saw the service ready again"))
        }
        return Report(
            rows: steady.map { row($0, follows: false) } + rows, checks: checks, outages: events.outages)
    }
}

extension ProbeCheck.Report {
    /// The rows for the terminal.
    package var lines: [String] {
        func worst(_ delays: [Duration?]) -> String {
            delays.contains { $0 == nil } ? "never" : delays.compactMap { $0 }.max()?.shown ?? "-"
        }
        let heading = ["prober", "probes", "bad", "slowest", "not ready after", "ready after", "changes in flapping"]
        let cells = rows.map { row in
            let record = row.record
            return [
                record.name, "\(record.count)", "\(record.bad)", record.worst == .zero ? "-" : record.worst.shown,
                row.follows ? worst(row.down) : "-", row.follows ? worst(row.up) : "-", "\(row.flips)",
            ]
        }
        return TextTable(heading, cells).lines
    }
}
