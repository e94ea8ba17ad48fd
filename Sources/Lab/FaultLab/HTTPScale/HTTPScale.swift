import PostgresTestKit

/// What the HTTP server promises under many clients, shown on a service of its own: ten thousand that keep their
/// connections and say nothing, and a thousand of each slow kind.
package struct HTTPScale: Sendable {
    /// How much of everything.
    package struct Settings: Sendable {
        /// Clients that keep their connections.
        package var idle = 10_000
        /// Slow clients of each kind.
        package var slow = 1_000
        /// How often the idle ones come and go.
        package var rounds = 3
        /// How long `/` is measured each time.
        package var window = Duration.seconds(3)

        package init() {}
    }

    /// What was measured, for a person.
    package struct Report: Sendable {
        package var table: [String] = []
        package var verdicts: [Check] = []
        package var isKept: Bool { verdicts.allSatisfy(\.isKept) }
    }

    /// A connection may cost so much memory, in KiB.
    static let memoryPerConnection = 5.0
    /// How much more memory than before, in KiB, the service may hold when all have left.
    static let memoryLeftBehind = 1024
    /// The service's limits for slow clients, short so that a run is.
    static let headerLimit = Duration.seconds(4)
    static let bodyLimit = Duration.seconds(6)
    static let stallLimit = Duration.seconds(5)
    static let writeLimit = Duration.seconds(8)
    /// How much later than its limit a client may be let go: it looks only now and then.
    static let slack = Duration.seconds(2)
    /// What `/` may take while the slow ones are there.
    static let slowBound = Duration.milliseconds(50)

    private let settings: Settings
    private let binary: String

    package init(_ settings: Settings = Settings(), binary: String) {
        self.settings = settings
        self.binary = binary
    }

    // MARK: Idle clients

    /// Idle clients come and go; `/` is measured with them and without, by turns.
    package func idle() async throws -> Report {
        try ClientSocket.allow(descriptors: settings.idle + 200)
        return try await withService { service, address in
            var without = Samples()
            var with = Samples()
            var peak = 0
            _ = try await measure(address, for: .milliseconds(500))
            let before = try usage(service)
            for _ in 0..<settings.rounds {
                without.add(try await measure(address, for: settings.window))
                let crowd = try await offCooperativeThreads { [settings] in
                    Result { try IdleClients(of: settings.idle, at: address) }
                }.get()
                if peak == 0 { peak = try usage(service).residentKilobytes }
                with.add(try await measure(address, for: settings.window))
                let gone = crowd.gone()
                guard gone == 0 else {
                    throw SandboxError(.service, "\(gone) idle clients were sent away", logTail: service.logTail)
                }
                crowd.leave()
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
        report.table = columns([
            ["", "asked", "failed", "/ p50", "/ p99", "worst", "memory", "descriptors"],
            ["without them"] + without.cells + ["\(before.residentKilobytes) KiB", "\(before.fileDescriptors)"],
            ["with \(settings.idle) idle"] + with.cells
                + ["\(peak) KiB", "\(before.fileDescriptors + settings.idle)"],
            ["when they have left", "", "", "", "", "", "\(after.residentKilobytes) KiB", "\(after.fileDescriptors)"],
        ])
        report.verdicts = [
            Check(
                isKept: without.failed + with.failed == 0 && with.count > 0,
                text: "/ was answered 200 every time"),
            Check(
                isKept: with.p99 <= without.p99 * 2, isTiming: true,
                text: "p99 of / with them is \(with.p99.shown), without \(without.p99.shown) (at most twice that)"),
            Check(
                isKept: each <= Self.memoryPerConnection,
                text: "each costs \((each * 10).rounded() / 10) KiB (at most \(Self.memoryPerConnection))"),
            Check(
                isKept: after.fileDescriptors <= before.fileDescriptors,
                text: "descriptors are what they were: \(after.fileDescriptors)"),
            Check(
                isKept: left <= Self.memoryLeftBehind,
                text: "memory is back to \(left) KiB above what it was (at most \(Self.memoryLeftBehind))"),
        ]
        return report
    }

    // MARK: Slow clients

    /// All slow ones at once, while `/` is measured.
    package func slow() async throws -> Report {
        let kinds = SlowClients.Kind.allCases
        try ClientSocket.allow(descriptors: settings.slow * kinds.count + 200)
        return try await withService { service, address in
            let quiet = try await measure(address, for: settings.window)
            let before = try usage(service)
            let timeline = Timeline()
            let probe = ProbeLoop(address, path: "/", every: .milliseconds(2), into: timeline)
            let crowds = kinds.map {
                SlowClients($0, of: settings.slow, at: address, for: Self.limits($0).upperBound + Self.slack * 2)
            }
            var rows: [[String]] = []
            var verdicts: [Check] = []
            let watch = Task {
                var peak = 0
                while !Task.isCancelled {
                    peak = max(peak, service.usage?.residentKilobytes ?? 0)
                    try? await Task.sleep(for: .milliseconds(100))
                }
                return peak
            }
            for crowd in crowds {
                let fates = try await crowd.fates()
                rows.append(row(crowd.kind, fates))
                verdicts.append(verdict(crowd.kind, fates))
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
                columns([["slow in", "clients", "let go", "told 408", "first after", "last after"]] + rows) + [""]
                + columns([
                    ["", "asked", "failed", "/ p50", "/ p99", "worst", "memory"],
                    ["without them"] + quiet.cells + ["\(before.residentKilobytes) KiB"],
                    ["with \(settings.slow * kinds.count) slow"] + busy.cells + ["\(peak) KiB"],
                ])
            report.verdicts =
                verdicts + [
                    Check(
                        isKept: busy.failed == 0 && busy.count > 0,
                        text: "meanwhile / was answered 200 all \(busy.count) times"),
                    Check(
                        isKept: busy.p99 <= Self.slowBound, isTiming: true,
                        text: "p99 of / was \(busy.p99.shown) (at most \(Self.slowBound.shown))"),
                    Check(
                        isKept: after.fileDescriptors <= before.fileDescriptors,
                        text: "descriptors are what they were: \(after.fileDescriptors)"),
                ]
            return report
        }
    }

    /// When the server may let such a client go.
    private static func limits(_ kind: SlowClients.Kind) -> ClosedRange<Duration> {
        switch kind {
        case .header: headerLimit...headerLimit
        case .body: bodyLimit...bodyLimit
        // A byte now and then moves nothing in the kernel until there is room for a segment: either limit may come first.
        case .reader: stallLimit...writeLimit
        }
    }

    private func row(_ kind: SlowClients.Kind, _ fates: [SlowClients.Fate]) -> [String] {
        let lasted = fates.compactMap(\.lasted)
        return [
            kind.rawValue, "\(fates.count)", "\(lasted.count)", "\(fates.count { $0.status == 408 })",
            lasted.min()?.shown ?? "-", lasted.max()?.shown ?? "-",
        ]
    }

    private func verdict(_ kind: SlowClients.Kind, _ fates: [SlowClients.Fate]) -> Check {
        let limits = Self.limits(kind)
        let allowed = (limits.lowerBound - .milliseconds(500))...(limits.upperBound + Self.slack)
        let lasted = fates.compactMap(\.lasted)
        let isKept = lasted.count == settings.slow && lasted.allSatisfy(allowed.contains)
        return Check(
            isKept: isKept,
            text: "\(lasted.count) of \(settings.slow) slow clients (\(kind.rawValue)) were let go at their limit")
    }

    // MARK: The service

    private func usage(_ service: ServiceProcess) throws -> ProcessUsage {
        guard let usage = service.usage else {
            throw SandboxError(.service, "the service has ended", logTail: service.logTail)
        }
        return usage
    }

    /// Asks `/` every 2 ms on one connection.
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
        let service = try await ServiceProcess.start(
            [
                binary, "serve", "--host", "127.0.0.1", "--port", "0",
                "--http-max-connections", "\(settings.idle + settings.slow * 3 + 100)",
                "--http-header-timeout", seconds(Self.headerLimit), "--http-body-total-timeout",
                seconds(Self.bodyLimit),
                "--http-write-timeout", seconds(Self.stallLimit), "--http-write-total-timeout",
                seconds(Self.writeLimit),
            ],
            // No database: what is measured is the server, and nothing else opens descriptors.
            environment: ["DATABASE_URL": "none", "PORT": nil, "HOST": nil])
        do {
            let address = ServiceAddress(port: try await service.waitUntilListening())
            let report = try await body(service, address)
            try await service.stop()
            return report
        } catch {
            _ = try? await service.stop()
            throw error
        }
    }
}

/// How long `/` took, over and over.
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

    /// Asked, failed, p50, p99, worst.
    var cells: [String] {
        [
            "\(count + failed)", "\(failed)", latencies.percentile(50).shownFinely, p99.shownFinely,
            (latencies.max() ?? .zero).shownFinely,
        ]
    }
}

extension Duration {
    /// Microseconds below ten milliseconds.
    fileprivate var shownFinely: String {
        milliseconds < 10 ? "\(Int((milliseconds * 1000).rounded())) µs" : shown
    }
}
