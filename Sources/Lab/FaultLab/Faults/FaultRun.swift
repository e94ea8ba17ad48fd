package import PostgresTestKit

/// One fault on one running service: steady state, fault, pause, end of the fault, recovery. The demo, `chaos` and the
/// tests use it.
package struct FaultRun: Sendable {
    package struct Settings: Sendable {
        /// The interval between the requests of one `/ping` client.
        package var interval = Duration.milliseconds(20)
        package var pingClients = 2
        /// Steady state before the fault.
        package var before = Duration.milliseconds(500)
        /// The length of the fault.
        package var hold = Duration.seconds(3)
        /// Steady state after the recovery, in which a relapse would show.
        package var after = Duration.milliseconds(500)
        /// The limit for the recovery.
        package var patience = Duration.seconds(15)
        /// The promises under every fault; nil checks only the fault's own.
        package var promises: Invariants?
        /// Checks of the caller's own, made at the end.
        package var checks: @Sendable () async throws -> [Check] = { [] }

        package init() {}
    }

    package struct Report: Sendable {
        package let fault: Fault
        package let figures: OutageFigures
        package internal(set) var checks: [Check]
        /// The service's resources before and after; nil if this user may not inspect the process.
        package let usageBefore: ProcessUsage?
        package let usageAfter: ProcessUsage?
        /// The most simultaneous connections to the database; nil if they could not be counted.
        package let peakConnections: Int?

        package var allKept: Bool { checks.allSatisfy(\.isKept) }
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

    /// Runs the fault. Ends it even after an error or a cancellation.
    package func run(_ fault: Fault, timeline: Timeline = Timeline()) async throws -> Report {
        try await run(fault, on: FaultContext(database: database, timeline: timeline))
    }

    /// Runs a fault in the context of the matrix.
    package func run(_ fault: Fault, on context: FaultContext) async throws -> Report {
        let timeline = context.timeline
        let clients = fault.expectation.requestsPing ? settings.pingClients : 0
        let probes =
            [ProbeLoop(service, path: "/", every: .milliseconds(20), into: timeline)]
            + (0..<clients).map { _ in ProbeLoop(service, path: "/ping", every: settings.interval, into: timeline) }
        let counter = ConnectionCounter(of: process, to: context.databasePorts)
        let latency = SchedulerLatency()
        let result = await Result.catching { try await observe(fault, context, counter, latency) }
        for probe in probes { await probe.stop() }
        await counter.stop()
        await latency.stop()
        context.note("the scheduler woke a sleeping thread \(latency.p99.shown) late (p99)")
        return try result.get()
    }

    private func observe(
        _ fault: Fault, _ context: FaultContext, _ counter: ConnectionCounter, _ latency: SchedulerLatency
    ) async throws -> Report {
        let timeline = context.timeline
        let start = ContinuousClock.now
        if fault.setup.boot == .running {
            if fault.expectation.requestsPing {
                guard try await timeline.first(on: "/ping", within: settings.patience, where: \.isGood) != nil else {
                    throw SandboxError(.service, "\(service)/ping was not good before the fault")
                }
            }
            try await Task.sleep(for: settings.before)
            // On a busy machine a client may not have connected yet; its connection would count as growth.
            let clients = 1 + (fault.expectation.requestsPing ? settings.pingClients : 0)
            _ = try await Deadline(in: .seconds(2)).wait(every: .milliseconds(10)) {
                process.map { ProcessTable.connections(of: $0, acceptedOn: service.port) >= clients } ?? true
            }
        }
        // A service that has just started has no steady state to compare with.
        let usageBefore = fault.setup.boot == .running ? usage(context) : nil

        let begin = timeline.mark(fault.title)
        let endBegins: ContinuousClock.Instant
        do {
            try await fault.begin(context)
            timeline.mark("done")
            if fault.ending != nil { try await Task.sleep(for: settings.hold) }
            endBegins = fault.ending.map { timeline.mark($0) } ?? ContinuousClock.now
            try await fault.end(context)
        } catch {
            // A separate task, because cancellation must not prevent the end of the fault.
            _ = await Task { try? await fault.end(context) }.value
            throw error
        }
        let loginsWork = timeline.mark("logins work")
        var checks: [Check] = []
        if case .unasked(let back) = fault.expectation {
            checks.append(try await firstPing(after: back))
        } else {
            _ = try await timeline.first(on: "/ping", within: settings.patience) { $0.isGood && $0.begin >= endBegins }
        }
        try await Task.sleep(for: settings.after)

        let isAbsent = if case .absent = fault.expectation { true } else { false }
        // Requests that the service could not answer break no promise.
        let isCounted = { @Sendable (exchange: HTTPExchange) in
            exchange.begin >= start && (!isAbsent || exchange.end <= begin || exchange.begin >= endBegins)
        }
        let figures = OutageFigures(
            root: timeline.exchanges(on: "/").filter(isCounted),
            ping: timeline.exchanges(on: "/ping").filter { isCounted($0) && !context.excuses($0) },
            .init(
                begin: begin, endBegins: endBegins, loginsWork: loginsWork,
                established: fault.expectation.established))
        checks = Check.all(for: fault.expectation, figures) + checks
        let peak = context.peakConnections ?? counter.peak
        let usageAfter = try await settledUsage(context, usageBefore, within: fault.setup.settling)
        if let promises = settings.promises {
            checks += promises.checks(
                figures, schedulerLatency: latency.p99, peakConnections: peak, usageBefore, usageAfter)
        }
        checks += try await settings.checks()
        return Report(
            fault: fault, figures: figures, checks: checks + context.checks, usageBefore: usageBefore,
            usageAfter: usageAfter, peakConnections: peak)
    }

    /// The service's resources without its connections to the database, which it may open and close as it needs.
    private func usage(_ context: FaultContext) -> ProcessUsage? {
        guard let process, let usage = ProcessUsage(of: process) else { return nil }
        return usage.without(descriptors: ProcessTable.connections(of: process, to: context.databasePorts))
    }

    /// The resources once descriptors and idle threads of the fault are released, which takes a moment.
    private func settledUsage(
        _ context: FaultContext, _ before: ProcessUsage?, within limit: Duration
    ) async throws -> ProcessUsage? {
        var now = usage(context)
        guard settings.promises != nil, let before else { return now }
        _ = try await Deadline(in: limit).wait(every: .milliseconds(50)) {
            now = usage(context)
            guard let now else { return true }
            return now.fileDescriptors <= before.fileDescriptors && now.threads <= before.threads
        }
        return now
    }

    /// Checks the recovery without a client of `/ping`, by a single request.
    private func firstPing(after back: Duration) async throws -> Check {
        try await Task.sleep(for: back)
        let exchange = await HTTPProbe.get("/ping", host: service.host, port: service.port)
        return Check(
            isKept: exchange.isGood && exchange.latency <= .milliseconds(50), isTiming: true,
            text: "the first /ping, \(back.shown) after logins worked: \(exchange.summary) in "
                + "\(exchange.latency.shown) (at most 50 ms)")
    }
}

extension Result where Failure == any Error {
    /// The result or the error of `body`.
    fileprivate static func catching(_ body: () async throws -> Success) async -> Result {
        do { return .success(try await body()) } catch { return .failure(error) }
    }
}
