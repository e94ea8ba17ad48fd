import ArgumentParser
import FaultLab
import Glibc
import PostgresTestKit

/// The story of the project, on a real database, live.
struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo",
        abstract: "Runs the service on a PostgreSQL of its own, and stops, kills, freezes and restarts it.",
        discussion: "The exit code is 0 if every promise that was shown held, 1 if one was broken.")

    @Flag(help: "End after the story instead of serving on until Ctrl-C.")
    var once = false

    @Option(help: "Where the service listens; 0 picks a free port.")
    var port: UInt16 = 0

    @Option(help: "How long each outage lasts, in seconds.")
    var hold = 3.0

    @Option(help: "The service's binary. (default: the daruma beside this program)")
    var daruma: String?

    func validate() throws {
        guard hold >= 1, hold <= 600 else { throw ValidationError("--hold is between 1 and 600 seconds") }
    }

    func run() async throws {
        let demo = self
        try await LabExit.run { try await demo.tell() }
    }

    private func tell() async throws {
        let binary = try daruma ?? ServiceProcess.darumaBinary()
        Terminal.say(Terminal.coloured("Daruma: falls seven times, stands up eight", .heading))
        let sandbox = try await PostgresSandbox.make()
        do {
            let time = try await sandbox.start()
            Terminal.say("PostgreSQL of its own on \(sandbox.host):\(sandbox.port), up in \(time.shown)")
            let service = try await ServiceProcess.start(
                [binary, "serve", "--host", "127.0.0.1", "--port", "\(port)", "--log-format", "text"],
                environment: ["DATABASE_URL": sandbox.connectionURL()])
            let address = ServiceAddress(port: try await service.waitUntilListening())
            Terminal.say("the service listens on \(address) (pid \(service.id))")
            let isKept = try await acts(sandbox, service, address)
            if !once { try await serveOn(sandbox, service, address) }
            // Ctrl-C, which cancels, is how the reader's turn ends: the curtain falls in order all the same.
            let left = try await Interruption.uninterrupted {
                let exit = try await service.stop()
                try await sandbox.remove()
                return Check(isKept: exit == .code(0), text: "asked to leave (SIGTERM), it left with \(exit)")
            }
            Terminal.say()
            Reporter.tell([left])
            guard isKept && left.isKept else { throw LabExit.brokenPromise }
        } catch {
            try? await Interruption.uninterrupted { try await sandbox.remove() }
            throw error
        }
    }

    private func acts(
        _ sandbox: PostgresSandbox, _ service: ServiceProcess, _ address: ServiceAddress
    ) async throws -> Bool {
        var settings = FaultRun.Settings()
        settings.hold = .milliseconds(Int64(hold * 1000))
        let run = FaultRun(
            on: address, process: service.id, database: SandboxDatabase(sandbox), settings: settings)
        var isKept = true
        for (number, fault) in Fault.basic.enumerated() {
            Terminal.say()
            Terminal.say(Terminal.coloured("Act \(number + 1): \(fault.title)", .heading))
            let narrator = Reporter()
            let report = try await run.run(fault, timeline: Timeline(watcher: narrator.tell))
            Reporter.tell(report.verdicts)
            isKept = isKept && report.allKept
        }
        let alive = Check(isKept: service.isRunning, text: "one process all along: pid \(service.id)")
        Terminal.say()
        Reporter.tell([alive])
        if let usage = service.usage {
            let memory = "\(usage.residentKilobytes / 1024) MB resident"
            Terminal.say("      \(usage.fileDescriptors) descriptors, \(usage.threads) threads, \(memory)")
        }
        return isKept && alive.isKept
    }

    /// Serves until Ctrl-C, telling what changes while the reader plays with the database.
    private func serveOn(
        _ sandbox: PostgresSandbox, _ service: ServiceProcess, _ address: ServiceAddress
    ) async throws {
        let program = getenv("DARUMA_DB_COMMAND").map { String(cString: $0) } ?? "\(CommandLine.arguments[0]) db"
        Terminal.say()
        Terminal.say(Terminal.coloured("Your turn", .heading) + " (Ctrl-C ends it)")
        Terminal.say("  watch:  curl -i \(address)/ping")
        for verb in ["stop", "start", "kill", "freeze", "thaw", "restart"] {
            let name = "\(verb):".padded(to: 9)
            Terminal.say("  \(name)\(program) \(verb) --folder \(sandbox.folder)")
        }
        Terminal.say()
        let timeline = Timeline(watcher: Reporter().tell)
        let probes = ["/", "/ping"].map { ProbeLoop(address, path: $0, every: .milliseconds(100), into: timeline) }
        while !Task.isCancelled && service.isRunning { try? await Task.sleep(for: .milliseconds(200)) }
        for probe in probes { await probe.stop() }
        if !service.isRunning {
            throw SandboxError(.service, "the service ended by itself", logTail: service.logTail)
        }
    }
}
