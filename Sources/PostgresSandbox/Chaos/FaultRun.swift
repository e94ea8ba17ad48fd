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

        package init() {}
    }

    /// What came of it.
    package struct Report: Sendable {
        package let fault: Fault
        package let figures: OutageFigures
        package let verdicts: [Verdict]
        /// What the service held before and after, if it is a process that we may look at.
        package let usageBefore: ProcessUsage?
        package let usageAfter: ProcessUsage?

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
        let probes =
            [ProbeLoop(service, path: "/", every: settings.interval, into: timeline)]
            + (0..<settings.pingClients).map { _ in
                ProbeLoop(service, path: "/ping", every: settings.interval, into: timeline)
            }
        do {
            let report = try await observe(fault, timeline)
            for probe in probes { await probe.stop() }
            return report
        } catch {
            for probe in probes { await probe.stop() }
            throw error
        }
    }

    private func observe(_ fault: Fault, _ timeline: Timeline) async throws -> Report {
        let start = ContinuousClock.now
        guard try await timeline.first(on: "/ping", within: settings.patience, where: \.isGood) != nil else {
            throw SandboxError(.service, "\(service)/ping is not good to begin with")
        }
        try await Task.sleep(for: settings.before)
        let usageBefore = process.flatMap(ProcessUsage.init(of:))

        let begin = timeline.mark(fault.title)
        let endBegins: ContinuousClock.Instant
        do {
            try await fault.begin(database)
            timeline.mark("done")
            if fault.ending != nil { try await Task.sleep(for: settings.hold) }
            endBegins = fault.ending.map { timeline.mark($0) } ?? ContinuousClock.now
            try await fault.end(database)
        } catch {
            // A task of its own: the end must happen although this one may be cancelled.
            let database = self.database
            _ = await Task { try? await fault.end(database) }.value
            throw error
        }
        let loginsWork = timeline.mark("logins work")
        _ = try await timeline.first(on: "/ping", within: settings.patience) { $0.isGood && $0.begin >= endBegins }
        try await Task.sleep(for: settings.after)

        let figures = OutageFigures(
            root: timeline.exchanges(on: "/").filter { $0.begin >= start },
            ping: timeline.exchanges(on: "/ping").filter { $0.begin >= start },
            .init(
                begin: begin, endBegins: endBegins, loginsWork: loginsWork,
                established: fault.expectation.established))
        return Report(
            fault: fault, figures: figures, verdicts: Verdict.all(for: fault.expectation, figures),
            usageBefore: usageBefore, usageAfter: process.flatMap(ProcessUsage.init(of:)))
    }
}
