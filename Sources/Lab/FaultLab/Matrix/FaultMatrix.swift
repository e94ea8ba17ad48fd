import Glibc
import PostgresTestKit

/// Runs faults one after the other, each on a sandbox, a relay and a service of its own, so that none
/// leaves traces for the next.
package struct FaultMatrix: Sendable {
    /// What is tried, and how.
    package struct Settings: Sendable {
        /// A shell command that starts a service on `PORT` with `DATABASE_URL`; nil: our own.
        package var command: String?
        /// Where the service listens; nil: on a free port each time.
        package var port: UInt16?
        package var isQuick = false
        /// Further variables of the service.
        package var environment: [String: String] = [:]
        package var promises = Invariants()

        package init() {}
    }

    /// One row: a fault, and what came of it.
    package struct Row: Sendable {
        package let fault: Fault
        package let outcome: Outcome
        package let timeline: Timeline
        package let duration: Duration
        package let notes: [String]

        package init(
            _ fault: Fault, _ outcome: Outcome, timeline: Timeline = Timeline(), duration: Duration = .zero,
            notes: [String] = []
        ) {
            self.fault = fault
            self.outcome = outcome
            self.timeline = timeline
            self.duration = duration
            self.notes = notes
        }

        package var isKept: Bool {
            switch outcome {
            case .ran(let report): report.allKept
            case .skipped: true
            case .failed: false
            }
        }
    }

    /// How a row ended.
    package enum Outcome: Sendable {
        case ran(FaultRun.Report)
        case skipped(reason: String)
        /// The fault itself went wrong; nothing is known about the promises.
        case failed(String)
    }

    package let settings: Settings

    package init(_ settings: Settings = Settings()) { self.settings = settings }

    /// Runs one fault. Throws when no fault could be run at all: the service does not start, PostgreSQL
    /// is not installed, or the caller was cancelled.
    package func run(
        _ fault: Fault, watcher: @escaping @Sendable (Timeline.Event) -> Void = { _ in }
    ) async throws -> Row {
        let begin = ContinuousClock.now
        let timeline = Timeline(watcher: watcher)
        func row(_ outcome: Outcome, _ notes: [String] = []) -> Row {
            Row(fault, outcome, timeline: timeline, duration: .now - begin, notes: notes)
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
        let stage: FaultContext
        do {
            let relay = fault.setup.usesRelay ? try FaultRelay(to: sandbox.port) : nil
            stage = FaultContext(sandbox: sandbox, relay: relay, timeline: timeline, isQuick: settings.isQuick)
        } catch {
            try? await sandbox.remove()
            throw error
        }
        do {
            let report = try await perform(fault, on: stage)
            await clear(stage)
            return row(.ran(report), stage.notes)
        } catch {
            await clear(stage)
            switch error {
            case let error as SandboxError where error.kind != .launch && error.kind != .missingBinaries:
                return row(.failed(error.description), stage.notes)
            default: throw error
            }
        }
    }

    /// Puts everything away, although the task may be cancelled.
    private func clear(_ stage: FaultContext) async {
        await Task {
            _ = try? await stage.service().stop()
            await stage.clear()
        }.value
    }

    private func perform(_ fault: Fault, on stage: FaultContext) async throws -> FaultRun.Report {
        let sandbox = try stage.sandbox()
        switch fault.setup.boot {
        case .running: try await sandbox.start()
        case .stopped: break
        case .recovering:
            try sandbox.recoverUntilPromoted()
            try await sandbox.start(waitForLogins: false)
        }
        try await fault.setup.prepare(stage)
        let (service, address) = try await launch(stage, fault.setup.labService)
        stage.enter(service, at: address)
        if fault.setup.fillsPool { try await fillPool(stage, address) }

        var run = FaultRun.Settings()
        run.interval = fault.setup.interval
        run.pingClients = fault.setup.pingClients
        run.before = settings.isQuick ? .milliseconds(600) : .seconds(1)
        run.after = run.before
        let hold = fault.setup.hold ?? .seconds(3)
        run.hold = settings.isQuick ? fault.setup.quickHold ?? min(hold, .seconds(2)) : hold
        run.promises = settings.promises
        var report = try await FaultRun(
            on: address, process: service.id, database: stage.database, settings: run
        ).run(fault, on: stage)
        report.verdicts.append(
            Check(isKept: service.isRunning, text: "one process all along: pid \(service.id)"))
        stage.noteExcuses()
        try await stage.prepareToLeave()
        let clock = ContinuousClock()
        let asked = clock.now
        let exit = try await service.stop()
        let time = clock.now - asked
        report.verdicts += [
            Check(isKept: exit == .code(0), text: "asked to leave (SIGTERM), it left with \(exit)"),
            Check(isKept: time <= .seconds(5), isTiming: true, text: "it left in \(time.shown) (at most 5 s)"),
        ]
        return report
    }

    /// Starts the service and waits until it serves.
    private func launch(
        _ stage: FaultContext, _ labService: [String]?
    ) async throws -> (ServiceProcess, ServiceAddress) {
        let launch = stage.launch
        let port = try settings.port ?? PortReservation.unreserved()
        guard PortReservation.isFree(port) else {
            throw SandboxError(.launch, "port \(port) is in use by somebody else")
        }
        let command =
            try labService.map { [try ServiceProcess.ownBinary("daruma-lab")] + $0 }
            ?? settings.command.map { ["/bin/sh", "-c", "exec \($0)"] } ?? [ServiceProcess.darumaBinary(), "serve"]
        let sandbox = try stage.sandbox()
        let url = launch.databaseURL ?? sandbox.connectionURL(port: try? stage.relay().port)
        var environment: [String: String?] = launch.environment.merging(settings.environment) { own, _ in own }
        environment["DATABASE_URL"] = url
        environment["PORT"] = "\(port)"
        environment["HOST"] = "127.0.0.1"
        do {
            let service = try await ServiceProcess.start(launch.prefix + command, environment: environment)
            stage.enter(service, at: ServiceAddress(port: port))
            try await service.waitUntilListening(on: port, within: .seconds(20))
            return (service, ServiceAddress(port: port))
        } catch let error as SandboxError {
            // One line: what failed, and the last thing it said.
            let last = error.logTail?.split(separator: "\n").last.map { ": \($0)" } ?? ""
            let name = settings.command.map { "the command \"\($0)\"" } ?? "the service"
            throw SandboxError(.launch, "\(name) does not serve on port \(port): \(error.message)\(last)")
        }
    }

    /// Makes the service open as many connections as it may have: answers that take their time, and
    /// clients that do not wait for each other.
    private func fillPool(_ stage: FaultContext, _ address: ServiceAddress) async throws {
        let relay = try stage.relay()
        relay.behave(RelayBehaviour(toClient: .delayed(.milliseconds(40))))
        let elsewhere = Timeline()
        let crowd = (0..<40).map { _ in
            ProbeLoop(address, path: "/ping", every: .milliseconds(20), into: elsewhere)
        }
        let wanted = settings.promises.maximumConnections
        let isFull = try? await Deadline(in: .seconds(5)).wait { relay.statistics.open >= wanted }
        for loop in crowd { await loop.stop() }
        relay.behave(.forwarding)
        if isFull != true { stage.note("only \(relay.statistics.open) of \(wanted) connections could be filled") }
    }
}
