import ArgumentParser
import PostgresSandbox

/// Faults on the database of a service that is running already.
struct ChaosCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chaos",
        abstract: "Stops and starts the database of a running service, and prints what its clients see.",
        discussion: "The exit code is 0 if every promise held in every round, 1 if one was broken.")

    @Option(help: "Where the service listens.", transform: Self.address)
    var service = ServiceAddress(port: 8080)

    @Option(help: "How many rounds.")
    var times = 3

    @Option(
        name: .customLong("only"), parsing: .upToNextOption,
        help: "What each round consists of: \(Fault.all.map(\.name).joined(separator: ", ")).", transform: Self.fault)
    var faults = [Fault.stop]

    @Option(help: "How long each outage lasts, in seconds.")
    var hold = 3.0

    @Option(help: "How many clients ask /ping.")
    var clients = 4

    @Option(help: "The folder of the service's database.")
    var folder = ".daruma"

    @Flag(help: "Act through docker compose on its service postgres, from the folder of the compose file.")
    var docker = false

    @Option(help: "The service's process. (default: the one that listens on the service's port here)")
    var pid: Int32?

    func validate() throws {
        guard times >= 1 else { throw ValidationError("--times is at least 1") }
        guard hold >= 1, hold <= 600 else { throw ValidationError("--hold is between 1 and 600 seconds") }
        guard clients >= 1, clients <= 256 else { throw ValidationError("--clients is between 1 and 256") }
    }

    func run() async throws {
        let chaos = self
        try await LabExit.run { try await chaos.rounds() }
    }

    private func rounds() async throws {
        var settings = FaultRun.Settings()
        settings.hold = .milliseconds(Int64(hold * 1000))
        settings.pingClients = clients
        let run = FaultRun(
            on: service, process: pid ?? ProcessTable.listener(on: service.port), database: try await database(),
            settings: settings)
        var reports: [FaultRun.Report] = []
        for round in 1...times {
            for fault in faults {
                Terminal.say(Terminal.coloured("Round \(round) of \(times): \(fault.title)", .heading))
                let narrator = Narrator()
                let report = try await run.run(fault, timeline: Timeline(watcher: narrator.tell))
                Narrator.tell(report.verdicts)
                Terminal.say()
                reports.append(report)
            }
        }
        for line in ReportTable(reports).lines { Terminal.say(line) }
        guard reports.allSatisfy(\.allKept) else { throw LabExit.brokenPromise }
    }

    private func database() async throws -> any DatabaseControl {
        if docker { return ComposeDatabase() }
        guard PostgresSandbox.exists(in: folder) else {
            throw SandboxError(
                .folder, "there is no database in \(folder); name it by --folder, or use --docker for a container")
        }
        return SandboxDatabase(try await PostgresSandbox.open(folder: folder))
    }

    private static func address(_ text: String) throws -> ServiceAddress {
        guard let address = ServiceAddress(text) else {
            throw ValidationError("not an address like http://127.0.0.1:8080: \(text)")
        }
        return address
    }

    private static func fault(_ name: String) throws -> Fault {
        guard let fault = Fault.all.first(where: { $0.name == name }) else {
            throw ValidationError("no such fault: \(name); there are \(Fault.all.map(\.name).joined(separator: ", "))")
        }
        return fault
    }
}
