import ArgumentParser
import FaultLab
import Glibc
import PostgresTestKit

/// The project's promises on a real database, live.
struct DemoCommand: LabCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Runs the service on a PostgreSQL of its own, and stops, kills, freezes and restarts it.",
        discussion: "The exit status is 0 if the service kept every promise, and 1 if not.")

    @Flag(help: "End after the four faults instead of serving until Ctrl-C.")
    var once = false

    @Option(help: "The service's port; 0 picks a free one.")
    var port: UInt16 = 0

    @Option(help: "The length of each outage, in seconds.")
    var hold = 3.0

    @Option(help: "The service's binary. (default: the daruma beside this program)")
    var daruma: String?

    func validate() throws { try require("--hold", hold, in: 1...600) }

    func perform() async throws {
        let binary = try daruma ?? ServiceProcess.darumaBinary()
        Terminal.print(Terminal.coloured("Daruma: falls seven times, stands up eight", .heading))
        let sandbox = try await PostgresSandbox.make()
        do {
            let time = try await sandbox.start()
            Terminal.print("PostgreSQL on \(sandbox.host):\(sandbox.port), started in \(time.shown)")
            let service = try await ServiceProcess.start(
                [binary, "serve", "--host", "127.0.0.1", "--port", "\(port)", "--log-format", "text"],
                environment: ["DATABASE_URL": sandbox.connectionURL()])
            let address = ServiceAddress(port: try await service.waitUntilListening())
            Terminal.print("the service listens on \(address) (pid \(service.id))")
            let isKept = try await runFaults(sandbox, service, address)
            if !once { try await serveOn(sandbox, service, address) }
            // Ctrl-C, the usual end, cancels the task. The demo must still stop in order.
            let stopped = try await Interruption.uninterrupted {
                let exit = try await service.stop()
                try await sandbox.remove()
                return Check(isKept: exit == .code(0), text: "SIGTERM ended the service with \(exit)")
            }
            Terminal.print()
            Reporter.print([stopped])
            guard isKept && stopped.isKept else { throw LabExit.brokenPromise }
        } catch {
            try? await Interruption.uninterrupted { try await sandbox.remove() }
            throw error
        }
    }

    private func runFaults(
        _ sandbox: PostgresSandbox, _ service: ServiceProcess, _ address: ServiceAddress
    ) async throws -> Bool {
        var settings = FaultRun.Settings()
        settings.hold = .seconds(option: hold)
        let run = FaultRun(
            on: address, process: service.id, database: SandboxDatabase(sandbox), settings: settings)
        var isKept = true
        for (number, fault) in Fault.basic.enumerated() {
            Terminal.print()
            Terminal.print(Terminal.coloured("Act \(number + 1): \(fault.title)", .heading))
            let report = try await run.run(fault, timeline: Timeline(watcher: Reporter().report))
            Reporter.print(report.checks)
            isKept = isKept && report.allKept
        }
        let alive = Check(isKept: service.isRunning, text: "one process throughout: pid \(service.id)")
        Terminal.print()
        Reporter.print([alive])
        if let usage = service.usage {
            let memory = "\(usage.residentKilobytes / 1024) MB resident"
            Terminal.print("      \(usage.fileDescriptors) descriptors, \(usage.threads) threads, \(memory)")
        }
        return isKept && alive.isKept
    }

    /// Serves until Ctrl-C, and prints what clients see while the reader operates the database.
    private func serveOn(
        _ sandbox: PostgresSandbox, _ service: ServiceProcess, _ address: ServiceAddress
    ) async throws {
        let program = getenv("DARUMA_DB_COMMAND").map { String(cString: $0) } ?? "\(CommandLine.arguments[0]) db"
        Terminal.print()
        Terminal.print(Terminal.coloured("Your turn", .heading) + " (Ctrl-C ends it)")
        Terminal.print("  watch:  curl -i \(address)/ping")
        for verb in ["stop", "start", "kill", "freeze", "thaw", "restart"] {
            Terminal.print("  \("\(verb):".padded(to: 9))\(program) \(verb) --folder \(sandbox.folder)")
        }
        Terminal.print()
        let timeline = Timeline(watcher: Reporter().report)
        let probes = ["/", "/ping"].map { ProbeLoop(address, path: $0, every: .milliseconds(100), into: timeline) }
        while !Task.isCancelled && service.isRunning { try? await Task.sleep(for: .milliseconds(200)) }
        for probe in probes { await probe.stop() }
        if !service.isRunning {
            throw SandboxError(.service, "the service ended by itself", logTail: service.logTail)
        }
    }
}
