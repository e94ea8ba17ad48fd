import Glibc
import PostgresTestKit

/// Runs faults one after the other. Each gets its own sandbox, relay and service, so that none affects the next.
package struct FaultMatrix: Sendable {
    package struct Settings: Sendable {
        /// A shell command that starts a service on `PORT` with `DATABASE_URL`; nil for our own.
        package var command: String?
        /// The service's port; nil for a free port each time.
        package var port: UInt16?
        package var isQuick = false
        /// Further variables of the service.
        package var environment: [String: String] = [:]
        package var promises = Invariants()

        package init() {}
    }

    /// A fault and its result.
    package struct Row: Sendable {
        package let fault: Fault
        package let result: RowResult
        package let timeline: Timeline
        package let duration: Duration
        package let notes: [String]

        package init(
            _ fault: Fault, _ result: RowResult, timeline: Timeline = Timeline(), duration: Duration = .zero,
            notes: [String] = []
        ) {
            self.fault = fault
            self.result = result
            self.timeline = timeline
            self.duration = duration
            self.notes = notes
        }

        package var isKept: Bool {
            switch result {
            case .ran(let report): report.allKept
            case .skipped: true
            case .failed: false
            }
        }

        package var isSkipped: Bool { if case .skipped = result { true } else { false } }
    }

    /// The result of a row.
    package enum RowResult: Sendable {
        case ran(FaultRun.Report)
        case skipped(reason: String)
        /// The fault could not be injected, so no promise was checked.
        case failed(String)
    }

    package let settings: Settings

    package init(_ settings: Settings = Settings()) { self.settings = settings }

    /// Runs one fault. Throws if no fault can run: the service does not start, PostgreSQL is not installed, or the
    /// caller was cancelled.
    package func run(
        _ fault: Fault, watcher: @escaping @Sendable (Timeline.Event) -> Void = { _ in }
    ) async throws -> Row {
        let begin = ContinuousClock.now
        let timeline = Timeline(watcher: watcher)
        func row(_ result: RowResult, _ notes: [String] = []) -> Row {
            Row(fault, result, timeline: timeline, duration: .now - begin, notes: notes)
        }
        for need in fault.setup.needs {
            if let reason = await need.reasonMissing() { return row(.skipped(reason: reason)) }
        }
        if fault.setup.labService != nil, settings.command != nil {
            return row(.skipped(reason: "runs a service of the lab's own"))
        }
        var configuration = SandboxConfiguration(settings: fault.setup.settings)
        configuration.niceness = fault.setup.niceness
        let sandbox = try await PostgresSandbox.make(configuration)
        let context: FaultContext
        do {
            let relay = fault.setup.needsRelay ? try FaultRelay(to: sandbox.port) : nil
            context = FaultContext(sandbox: sandbox, relay: relay, timeline: timeline, isQuick: settings.isQuick)
        } catch {
            try? await sandbox.remove()
            throw error
        }
        do {
            let report = try await perform(fault, on: context)
            await clear(context)
            return row(.ran(report), context.notes)
        } catch {
            await clear(context)
            switch error {
            case let error as SandboxError where error.kind != .launch && error.kind != .missingBinaries:
                return row(.failed(error.description), context.notes)
            default: throw error
            }
        }
    }

    /// Removes everything, even after a cancellation.
    private func clear(_ context: FaultContext) async {
        await Task {
            _ = try? await context.service().stop()
            await context.clear()
        }.value
    }

    private func perform(_ fault: Fault, on context: FaultContext) async throws -> FaultRun.Report {
        let sandbox = try context.sandbox()
        switch fault.setup.boot {
        case .running: try await sandbox.start()
        case .stopped: break
        case .recovering:
            try sandbox.recoverUntilPromoted()
            try await sandbox.start(waitForLogins: false)
        }
        try await fault.setup.prepare(context)
        let (service, address) = try await launch(context, fault.setup.labService)
        context.use(service, at: address)
        if fault.setup.fillsPool { try await fillPool(context, address) }

        var run = FaultRun.Settings()
        run.interval = fault.setup.interval
        run.pingClients = fault.setup.pingClients
        run.before = settings.isQuick ? .milliseconds(600) : .seconds(1)
        run.after = run.before
        let hold = fault.setup.hold ?? .seconds(3)
        run.hold = settings.isQuick ? fault.setup.quickHold ?? min(hold, .seconds(2)) : hold
        // In a hurry on a busy machine: how late it came is checked as a figure of time.
        if settings.isQuick { run.patience = .seconds(40) }
        run.promises = settings.promises
        var report = try await FaultRun(
            on: address, process: service.id, database: context.database, settings: run
        ).run(fault, on: context)
        report.checks.append(
            Check(isKept: service.isRunning, text: "one process throughout: pid \(service.id)"))
        context.noteExcuses()
        try await context.runBeforeStop()
        let begin = ContinuousClock.now
        let exit = try await service.stop()
        let time = ContinuousClock.now - begin
        report.checks += [
            Check(isKept: exit == .code(0), text: "SIGTERM ended it with \(exit)"),
            Check(isKept: time <= .seconds(5), isTiming: true, text: "it ended in \(time.shown) (at most 5 s)"),
        ]
        return report
    }

    /// Starts the service, and waits until it listens.
    private func launch(
        _ context: FaultContext, _ labService: [String]?
    ) async throws -> (ServiceProcess, ServiceAddress) {
        let launch = context.launch
        let port = try settings.port ?? PortReservation.unreserved()
        guard PortReservation.isFree(port) else {
            throw SandboxError(.launch, "port \(port) is in use by another process")
        }
        let command =
            try labService.map { [try ServiceProcess.ownBinary("daruma-lab")] + $0 }
            ?? settings.command.map { ["/bin/sh", "-c", "exec \($0)"] } ?? [ServiceProcess.darumaBinary(), "serve"]
        let sandbox = try context.sandbox()
        let url = launch.databaseURL ?? sandbox.connectionURL(port: try? context.relay().port)
        var environment: [String: String?] = launch.environment.merging(settings.environment) { own, _ in own }
        environment["DATABASE_URL"] = url
        environment["PORT"] = "\(port)"
        environment["HOST"] = "127.0.0.1"
        do {
            let service = try await ServiceProcess.start(launch.prefix + command, environment: environment)
            context.use(service, at: ServiceAddress(port: port))
            try await service.waitUntilListening(on: port, within: .seconds(20))
            return (service, ServiceAddress(port: port))
        } catch let error as SandboxError {
            // One line: the failure, and the last line of the log.
            let last = error.logTail?.split(separator: "\n").last.map { ": \($0)" } ?? ""
            let name = settings.command.map { "the command \"\($0)\"" } ?? "the service"
            throw SandboxError(.launch, "\(name) does not serve on port \(port): \(error.message)\(last)")
        }
    }

    /// Makes the service open all its connections: slow answers, and many concurrent clients.
    private func fillPool(_ context: FaultContext, _ address: ServiceAddress) async throws {
        let relay = try context.relay()
        relay.behave(RelayBehaviour(toClient: .delayed(.milliseconds(40))))
        let elsewhere = Timeline()
        let crowd = (0..<40).map { _ in
            ProbeLoop(address, path: "/ping", every: .milliseconds(20), into: elsewhere)
        }
        let wanted = settings.promises.maximumConnections
        let isFull = try? await Deadline(in: .seconds(5)).wait { relay.statistics.open >= wanted }
        await ProbeLoop.stop(crowd)
        relay.behave(.forwarding)
        if isFull != true { context.note("the pool opened only \(relay.statistics.open) of \(wanted) connections") }
    }
}
