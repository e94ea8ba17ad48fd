import PostgresTestKit

/// The promises of the HTTP server under many clients, checked on a separate service: ten thousand idle clients, and a
/// thousand of each slow kind.
package struct HTTPScale: Sendable {
    package struct Settings: Sendable {
        /// Idle clients.
        package var idle = 10_000
        /// Slow clients of each kind.
        package var slow = 1_000
        /// How often the idle clients connect and disconnect.
        package var rounds = 3
        /// The length of each measurement of `/`.
        package var window = Duration.seconds(3)

        package init() {}
    }

    package struct Report: Sendable {
        package var table: [String] = []
        package var checks: [Check] = []
        package var isKept: Bool { checks.allSatisfy(\.isKept) }
    }

    /// The limit for the memory of a connection, in KiB.
    static let memoryPerConnection = 5.0
    /// The limit for the memory that remains after all clients have left, in KiB.
    static let memoryLeftBehind = 1024
    /// The service's timeouts for slow clients, short for a short run.
    static let headerLimit = Duration.seconds(4)
    static let bodyLimit = Duration.seconds(6)
    static let stallLimit = Duration.seconds(5)
    static let writeLimit = Duration.seconds(8)
    /// How late the disconnection may be: a client checks its connection only occasionally.
    static let slack = Duration.seconds(2)
    /// The limit for the p99 of `/` under slow clients.
    static let slowBound = Duration.milliseconds(50)

    private let settings: Settings
    private let binary: String

    package init(_ settings: Settings = Settings(), binary: String) {
        self.settings = settings
        self.binary = binary
    }

    // MARK: Idle clients

    /// Measures `/` with idle clients and without, in alternation.
    package func idle() async throws -> Report {
        try DescriptorLimit.require(settings.idle + 200)
        return try await withService { service, address in
            var without = Samples()
            var with = Samples()
            var peak = 0
            _ = try await measure(address, for: .milliseconds(500))
            let before = try usage(service)
            for _ in 0..<settings.rounds {
                without.add(try await measure(address, for: settings.window))
                let clients = try await offCooperativeThreads { [settings] in
                    try IdleClients(of: settings.idle, at: address)
                }
                if peak == 0 { peak = try usage(service).residentKilobytes }
                with.add(try await measure(address, for: settings.window))
                let closed = clients.countClosed()
                guard closed == 0 else {
                    throw SandboxError(.service, "the service closed \(closed) idle clients", logTail: service.logTail)
                }
                clients.close()
                _ = try await Deadline(in: .seconds(20)).wait(every: .milliseconds(20)) {
                    try usage(service).fileDescriptors <= before.fileDescriptors
                }
            }
            _ = try await Deadline(in: .seconds(15)).wait(every: .milliseconds(100)) {
                try usage(service).residentKilobytes <= before.residentKilobytes + Self.memoryLeftBehind
            }
            return report(without, with, before, peak, try usage(service))
        }
    }

    private func report(
        _ without: Samples, _ with: Samples, _ before: ProcessUsage, _ peak: Int, _ after: ProcessUsage
    ) -> Report {
        let each = Double(max(0, peak - before.residentKilobytes)) / Double(max(1, settings.idle))
        let left = after.residentKilobytes - before.residentKilobytes
        var report = Report()
        report.table =
            TextTable(
                ["", "requests", "failed", "/ p50", "/ p99", "worst", "memory", "descriptors"],
                [
                    ["without them"] + without.cells
                        + ["\(before.residentKilobytes) KiB", "\(before.fileDescriptors)"],
                    ["with \(settings.idle) idle"] + with.cells
                        + ["\(peak) KiB", "\(before.fileDescriptors + settings.idle)"],
                    ["after them"] + Array(repeating: "", count: 5)
                        + ["\(after.residentKilobytes) KiB", "\(after.fileDescriptors)"],
                ]
            ).lines
        report.checks = [
            Check(
                isKept: without.failed + with.failed == 0 && with.count > 0,
                text: "/ answered 200 every time"),
            Check(
                isKept: with.p99 <= without.p99 * 2, isTiming: true,
                text: "p99 of / with them is \(with.p99.shown), without \(without.p99.shown) (at most twice that)"),
            Check(
                isKept: each <= Self.memoryPerConnection,
                text: "each costs \((each * 10).rounded() / 10) KiB (at most \(Self.memoryPerConnection))"),
            Self.descriptorCheck(before, after),
            Check(
                isKept: left <= Self.memoryLeftBehind,
                text: "memory is \(left) KiB above its start (at most \(Self.memoryLeftBehind))"),
        ]
        return report
    }

    private static func descriptorCheck(_ before: ProcessUsage, _ after: ProcessUsage) -> Check {
        Check(
            isKept: after.fileDescriptors <= before.fileDescriptors,
            text: "descriptors \(before.fileDescriptors) → \(after.fileDescriptors)")
    }

    // MARK: Slow clients

    /// Measures `/` under all slow clients at once.
    package func slow() async throws -> Report {
        let kinds = SlowClients.Kind.allCases
        try DescriptorLimit.require(settings.slow * kinds.count + 200)
        return try await withService { service, address in
            let quiet = try await measure(address, for: settings.window)
            let before = try usage(service)
            let timeline = Timeline()
            let probe = ProbeLoop(address, path: "/", every: .milliseconds(2), into: timeline)
            let crowds = kinds.map {
                SlowClients($0, of: settings.slow, at: address, for: Self.limits($0).upperBound + Self.slack * 2)
            }
            var rows: [[String]] = []
            var checks: [Check] = []
            let watch = Task {
                var peak = 0
                while !Task.isCancelled {
                    peak = max(peak, service.usage?.residentKilobytes ?? 0)
                    try? await Task.sleep(for: .milliseconds(100))
                }
                return peak
            }
            for crowd in crowds {
                let endings = try await crowd.endings()
                rows.append(row(crowd.kind, endings))
                checks.append(check(crowd.kind, endings))
            }
            watch.cancel()
            let peak = await watch.value
            await probe.stop()
            let busy = Samples(timeline.exchanges(on: "/"))
            _ = try await Deadline(in: .seconds(10)).wait(every: .milliseconds(20)) {
                try usage(service).fileDescriptors <= before.fileDescriptors
            }
            let after = try usage(service)
            var report = Report()
            report.table =
                TextTable(["slow in", "clients", "closed", "status 408", "first after", "last after"], rows).lines
                + [""]
                + TextTable(
                    ["", "requests", "failed", "/ p50", "/ p99", "worst", "memory"],
                    [
                        ["without them"] + quiet.cells + ["\(before.residentKilobytes) KiB"],
                        ["with \(settings.slow * kinds.count) slow"] + busy.cells + ["\(peak) KiB"],
                    ]
                ).lines
            report.checks =
                checks + [
                    Check(
                        isKept: busy.failed == 0 && busy.count > 0,
                        text: "meanwhile / answered 200 all \(busy.count) times"),
                    Check(
                        isKept: busy.p99 <= Self.slowBound, isTiming: true,
                        text: "p99 of / was \(busy.p99.shown) (at most \(Self.slowBound.shown))"),
                    Self.descriptorCheck(before, after),
                ]
            return report
        }
    }

    /// When the server may disconnect such a client.
    private static func limits(_ kind: SlowClients.Kind) -> ClosedRange<Duration> {
        switch kind {
        case .header: headerLimit...headerLimit
        case .body: bodyLimit...bodyLimit
        // The kernel reports progress only when a whole segment fits, so either limit may come first.
        case .reader: stallLimit...writeLimit
        }
    }

    private func row(_ kind: SlowClients.Kind, _ endings: [SlowClients.Ending]) -> [String] {
        let lasted = endings.compactMap(\.lasted)
        return [
            kind.rawValue, "\(endings.count)", "\(lasted.count)", "\(endings.count { $0.status == 408 })",
            lasted.min()?.shown ?? "-", lasted.max()?.shown ?? "-",
        ]
    }

    private func check(_ kind: SlowClients.Kind, _ endings: [SlowClients.Ending]) -> Check {
        let limits = Self.limits(kind)
        let allowed = (limits.lowerBound - .milliseconds(500))...(limits.upperBound + Self.slack)
        let lasted = endings.compactMap(\.lasted)
        let isKept = lasted.count == settings.slow && lasted.allSatisfy(allowed.contains)
        return Check(
            isKept: isKept,
            text:
                "the service closed \(lasted.count) of \(settings.slow) slow clients (\(kind.rawValue)) at their limit")
    }

    // MARK: The service

    private func usage(_ service: ServiceProcess) throws -> ProcessUsage {
        guard let usage = service.usage else {
            throw SandboxError(.service, "the service has ended", logTail: service.logTail)
        }
        return usage
    }

    /// Requests `/` every 2 ms on one connection.
    private func measure(_ address: ServiceAddress, for duration: Duration) async throws -> Samples {
        let timeline = Timeline()
        let probe = ProbeLoop(address, path: "/", every: .milliseconds(2), into: timeline)
        try await Task.sleep(for: duration)
        await probe.stop()
        return Samples(timeline.exchanges(on: "/"))
    }

    private func withService(
        _ body: (ServiceProcess, ServiceAddress) async throws -> Report
    ) async throws -> Report {
        func seconds(_ duration: Duration) -> String { "\(duration.components.seconds)s" }
        // Without a database, so that nothing but the server opens descriptors.
        return try await ServiceProcess.withDaruma(
            [
                "--http-max-connections", "\(settings.idle + settings.slow * 3 + 100)",
                "--http-header-timeout", seconds(Self.headerLimit),
                "--http-body-total-timeout", seconds(Self.bodyLimit),
                "--http-write-timeout", seconds(Self.stallLimit),
                "--http-write-total-timeout", seconds(Self.writeLimit),
            ], databaseURL: "none", binary: binary, body)
    }
}

/// The latencies of `/`.
private struct Samples {
    private var latencies: [Duration] = []
    private(set) var failed = 0

    init(_ exchanges: [HTTPExchange] = []) {
        latencies = exchanges.filter(\.isGood).map(\.latency)
        failed = exchanges.count - latencies.count
    }

    mutating func add(_ other: Samples) {
        latencies += other.latencies
        failed += other.failed
    }

    var count: Int { latencies.count }
    var p99: Duration { latencies.percentile(99) }

    /// Requests, failures, p50, p99, maximum.
    var cells: [String] {
        [
            "\(count + failed)", "\(failed)", latencies.percentile(50).shown, p99.shown,
            (latencies.max() ?? .zero).shown,
        ]
    }
}
