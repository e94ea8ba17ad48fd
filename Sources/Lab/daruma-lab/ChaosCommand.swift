import ArgumentParser
import FaultLab
import PostgresTestKit

/// Faults on the database of a service that is running already, or the whole matrix of faults on one of
/// its own.
struct ChaosCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "chaos",
        abstract: "Does to a service's database what may happen to it, and prints what its clients see.",
        discussion: """
            Without --all, --quick, --command or --report: stops and starts the database of a service that is \
            running already, --times over. With one of them: runs the fault matrix, or the faults named by \
            --only, each on a database and a service of its own.

            The exit code is 0 if every promise held, 1 if one was broken.

            The faults: \(Fault.all.map(\.name).joined(separator: ", ")).
            """)

    @Option(help: "Where the service listens.", transform: Self.address)
    var service = ServiceAddress(port: 8080)

    @Option(help: "How many rounds.")
    var times = 3

    @Option(
        name: .customLong("only"), parsing: .upToNextOption,
        help: "These faults only, split by commas or spaces. (default: all; with a running service: stop)",
        transform: Self.faults)
    var chosen: [[Fault]] = []

    @OptionGroup(title: "Matrix")
    var matrix: MatrixOptions

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

    private var faults: [Fault] { chosen.flatMap { $0 } }

    /// A fault that needs more than a switch can only be had in the matrix.
    private var isMatrix: Bool {
        matrix.areUsed || faults.contains { fault in !Fault.basic.contains { $0.name == fault.name } }
    }

    func validate() throws {
        guard times >= 1 else { throw ValidationError("--times is at least 1") }
        guard hold >= 1, hold <= 600 else { throw ValidationError("--hold is between 1 and 600 seconds") }
        guard clients >= 1, clients <= 256 else { throw ValidationError("--clients is between 1 and 256") }
        if matrix.all && !faults.isEmpty { throw ValidationError("--all and --only exclude each other") }
        if isMatrix && docker { throw ValidationError("--docker is for a running service, not for the matrix") }
    }

    func run() async throws {
        let chaos = self
        try await LabExit.run {
            if chaos.isMatrix {
                try await chaos.matrix.run(chaos.faults.isEmpty ? Fault.all : chaos.faults)
            } else {
                try await chaos.rounds(chaos.faults.isEmpty ? [.stop] : chaos.faults)
            }
        }
    }

    private func rounds(_ faults: [Fault]) async throws {
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
                let narrator = Reporter()
                let report = try await run.run(fault, timeline: Timeline(watcher: narrator.tell))
                Reporter.tell(report.verdicts)
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

    static func address(_ text: String) throws -> ServiceAddress {
        guard let address = ServiceAddress(text) else {
            throw ValidationError("not an address like http://127.0.0.1:8080: \(text)")
        }
        return address
    }

    private static func faults(_ names: String) throws -> [Fault] {
        try names.split(separator: ",").map { name in
            guard let fault = Fault.all.first(where: { $0.name == name }) else {
                let known = Fault.all.map(\.name).joined(separator: ", ")
                throw ValidationError("no such fault: \(name); there are \(known)")
            }
            return fault
        }
    }
}
