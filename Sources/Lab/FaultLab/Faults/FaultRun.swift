package import PostgresTestKit

/// One fault on one running service: steady state, fault, hold, end of the fault, recovery. The demo,
/// `chaos` and the tests are uses of it; they differ in how often they run it and what they print.
package struct FaultRun: Sendable {
    /// How a run is watched.
    package struct Settings: Sendable {
        /// How often `/`, and each of the clients `/ping`, is asked.
        package var interval = Duration.milliseconds(20)
        package var pingClients = 2
        /// Steady state before the fault.
        package var before = Duration.milliseconds(500)
        /// How long the fault lasts.
        package var hold = Duration.seconds(3)
        /// Steady state after the recovery: the time in which a relapse would show.
        package var after = Duration.milliseconds(500)
        /// When to give the recovery up.
        package var patience = Duration.seconds(15)
        /// What is promised under every fault; nil checks only what the fault itself promises.
        package var promises: Invariants?

        package init() {}
    }

    /// What came of it.
    package struct Report: Sendable {
        package let fault: Fault
        package let figures: OutageFigures
        package internal(set) var verdicts: [Check]
        /// What the service held before and after, if it is a process that we may look at.
        package let usageBefore: ProcessUsage?
        package let usageAfter: ProcessUsage?
        /// The most connections to the database at any one time, as far as they could be counted.
        package let peakConnections: Int?

        package var allKept: Bool { verdicts.allSatisfy(\.isKept) }
    }

    package let service: ServiceAddress
    /// The service's process, for descriptors and memory.
    package let process: Int32?
    package let database: any DatabaseControl
    package var settings: Settings

    package init(
        on service: ServiceAddress, process: Int32? = nil, database: any DatabaseControl, settings: Settings = .init()
    ) {
        self.service = service
        self.process = process
        self.database = database
        self.settings = settings
    }

    /// Runs the fault. Whatever happens in between, cancellation included, the fault is ended again.
    package func run(_ fault: Fault, timeline: Timeline = Timeline()) async throws -> Report {
        try await run(fault, on: FaultContext(database: database, timeline: timeline))
    }

    /// Runs a fault that needs more than a switch.
    package func run(_ fault: Fault, on stage: FaultContext) async throws -> Report {
        let timeline = stage.timeline
        let clients = fault.expectation.asksPing ? settings.pingClients : 0
        let probes =
            [ProbeLoop(service, path: "/", every: .milliseconds(20), into: timeline)]
            + (0..<clients).map { _ in ProbeLoop(service, path: "/ping", every: settings.interval, into: timeline) }
        let counter = ConnectionCounter(of: process, to: stage.databasePorts)
        let delay = SchedulerLatency()
        let result = await Result.catching { try await observe(fault, stage, counter) }
        for probe in probes { await probe.stop() }
        await counter.stop()
        await delay.stop()
        stage.note("meanwhile a sleeping thread of ours was woken up to \(delay.p99.shown) late (p99)")
        return try result.get()
    }

    private func observe(_ fault: Fault, _ stage: FaultContext, _ counter: ConnectionCounter) async throws -> Report {
        let timeline = stage.timeline
        let start = ContinuousClock.now
        if fault.setup.boot == .running {
            if fault.expectation.asksPing {
                guard try await timeline.first(on: "/ping", within: settings.patience, where: \.isGood) != nil else {
                    throw SandboxError(.service, "\(service)/ping is not good to begin with")
                }
            }
            try await Task.sleep(for: settings.before)
        }
        // A service that has just started has no steady state to come back to yet.
        let usageBefore = fault.setup.boot == .running ? holdings(stage) : nil

        let begin = timeline.mark(fault.title)
        let endBegins: ContinuousClock.Instant
        do {
            try await fault.begin(stage)
            timeline.mark("done")
            if fault.ending != nil { try await Task.sleep(for: settings.hold) }
            endBegins = fault.ending.map { timeline.mark($0) } ?? ContinuousClock.now
            try await fault.end(stage)
        } catch {
            // A task of its own: the end must happen although this one may be cancelled.
            _ = await Task { try? await fault.end(stage) }.value
            throw error
        }
        let loginsWork = timeline.mark("logins work")
        var verdicts: [Check] = []
        if case .unasked(let back) = fault.expectation {
            verdicts.append(try await firstAsked(after: back))
        } else {
            _ = try await timeline.first(on: "/ping", within: settings.patience) { $0.isGood && $0.begin >= endBegins }
        }
        try await Task.sleep(for: settings.after)

        let isAbsent = if case .absent = fault.expectation { true } else { false }
        // What was asked while the service could not answer is nobody's broken promise.
        let isCounted = { @Sendable (exchange: HTTPExchange) in
            exchange.begin >= start && (!isAbsent || exchange.end <= begin || exchange.begin >= endBegins)
        }
        let figures = OutageFigures(
            root: timeline.exchanges(on: "/").filter(isCounted),
            ping: timeline.exchanges(on: "/ping").filter { isCounted($0) && !stage.excuses($0) },
            .init(
                begin: begin, endBegins: endBegins, loginsWork: loginsWork,
                established: fault.expectation.established))
        verdicts = Check.all(for: fault.expectation, figures) + verdicts
        let peak = stage.peakConnections ?? counter.peak
        let usageAfter = try await settled(stage, usageBefore, within: fault.setup.settling)
        if let promises = settings.promises {
            verdicts += promises.verdicts(figures, peakConnections: peak, usageBefore, usageAfter)
        }
        return Report(
            fault: fault, figures: figures, verdicts: verdicts + stage.verdicts, usageBefore: usageBefore,
            usageAfter: usageAfter, peakConnections: peak)
    }

    /// What the service holds, without its connections to the database: how many of those it needs is its
    /// own affair, up to the maximum.
    private func holdings(_ stage: FaultContext) -> ProcessUsage? {
        guard let process, let usage = ProcessUsage(of: process) else { return nil }
        return usage.without(descriptors: ProcessTable.connections(of: process, to: stage.databasePorts))
    }

    /// What it holds once it has put away what it needed for the fault: descriptors and idle threads take
    /// a moment to go.
    private func settled(
        _ stage: FaultContext, _ before: ProcessUsage?, within limit: Duration
    ) async throws -> ProcessUsage? {
        var usage = holdings(stage)
        guard settings.promises != nil, let before else { return usage }
        _ = try await Deadline(in: limit).wait(every: .milliseconds(50)) {
            usage = holdings(stage)
            guard let usage else { return true }
            return usage.fileDescriptors <= before.fileDescriptors && usage.threads <= before.threads
        }
        return usage
    }

    /// The recovery of a service that nobody asks: seen only by asking once, late enough.
    private func firstAsked(after back: Duration) async throws -> Check {
        try await Task.sleep(for: back)
        let exchange = await HTTPProbe.get("/ping", host: service.host, port: service.port)
        return Check(
            isKept: exchange.isGood && exchange.latency <= .milliseconds(50), isTiming: true,
            text: "the first /ping, asked \(back.shown) after logins worked: \(exchange.summary) in "
                + "\(exchange.latency.shown) (at most 50 ms)")
    }
}

extension Result where Failure == any Error {
    /// What `body` returned or threw.
    fileprivate static func catching(_ body: () async throws -> Success) async -> Result {
        do { return .success(try await body()) } catch { return .failure(error) }
    }
}
