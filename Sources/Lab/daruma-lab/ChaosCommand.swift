import ArgumentParser
import FaultLab
import Glibc
import PostgresTestKit

/// Faults on the database of a running service, or the fault matrix.
struct ChaosCommand: LabCommand {
    static let configuration = CommandConfiguration(
        commandName: "chaos",
        abstract: "Injects faults into a service's database, and prints what clients see.",
        discussion: """
            Without --all, --quick, --command, --report or --publish: stops and starts the database of a running \
            service, --times times. With one of them: runs the fault matrix, or the faults named by --only, each on a \
            database and a service of its own.

            The exit status is 0 if the service kept every promise, and 1 if not.

            The faults: \(Fault.all.map(\.name).joined(separator: ", ")).
            """)

    @Option(
        help: "The address of the service. (default: http://127.0.0.1:8080; with --docker: its container's)",
        transform: Self.address)
    var service: ServiceAddress?

    @Option(help: "The number of rounds.")
    var times = 3

    @Option(
        name: .customLong("only"), parsing: .upToNextOption,
        help: "Only these faults, split by commas or spaces. (default: all; with a running service: stop)",
        transform: Self.faults)
    var chosen: [[Fault]] = []

    @OptionGroup(title: "Matrix")
    var matrix: MatrixOptions

    @Option(help: "The length of each outage, in seconds.")
    var hold = 3.0

    @Option(help: "The number of clients of /ping.")
    var clients = 4

    @Option(help: "The folder of the service's database.")
    var folder = ".daruma"

    @Flag(help: "Use the services daruma and postgres of docker compose; --only takes stop, kill, freeze, restart.")
    var docker = false

    @Option(help: "With --docker: the name of the compose project. (default: $COMPOSE_PROJECT_NAME, or the only one)")
    var project: String?

    @Option(help: "The id of the service's process. (default: the listener on the service's port here)")
    var pid: Int32?

    private var faults: [Fault] { chosen.flatMap { $0 } }

    /// A fault that needs more than a `DatabaseControl` runs only in the matrix.
    private var isMatrix: Bool {
        matrix.areUsed || faults.contains { fault in !Fault.basic.contains { $0.name == fault.name } }
    }

    func validate() throws {
        guard times >= 1 else { throw ValidationError("--times is at least 1") }
        try require("--hold", hold, in: 1...600)
        try require("--clients", clients, in: 1...256)
        if matrix.all && !faults.isEmpty { throw ValidationError("--all and --only exclude each other") }
        if project != nil && !docker { throw ValidationError("--project is for --docker") }
        if docker, matrix.areUsed {
            throw ValidationError("--docker is for a running service, not for the matrix")
        }
        if docker, let other = faults.first(where: { fault in !Fault.basic.contains { $0.name == fault.name } }) {
            let names = Fault.basic.map(\.name).joined(separator: ", ")
            throw ValidationError("--docker takes \(names) with --only, not \(other.name)")
        }
    }

    func perform() async throws {
        if isMatrix {
            try await matrix.run(faults.isEmpty ? Fault.all : faults)
        } else {
            try await runRounds(faults.isEmpty ? [.stop] : faults)
        }
    }

    private func runRounds(_ faults: [Fault]) async throws {
        var settings = FaultRun.Settings()
        settings.hold = .seconds(option: hold)
        settings.pingClients = clients
        let run: FaultRun
        var faults = faults
        if docker {
            let composed = try await composedService()
            let (grace, deadline) = composed.limits
            // The outage lasts longer than requests wait, so that they see it.
            settings.hold = max(settings.hold, deadline + .milliseconds(1500))
            settings.promises = composed.promises
            settings.checks = composed.checks
            faults = faults.map { $0.inContainer(grace: grace, deadline: deadline) }
            run = FaultRun(
                on: service ?? composed.address, process: pid ?? composed.process, database: composed.database,
                settings: settings)
        } else {
            let service = service ?? ServiceAddress(port: 8080)
            run = FaultRun(
                on: service, process: pid ?? ProcessTable.listener(on: service.port), database: try await database(),
                settings: settings)
        }
        var reports: [FaultRun.Report] = []
        for round in 1...times {
            for fault in faults {
                Terminal.print(Terminal.coloured("Round \(round) of \(times): \(fault.title)", .heading))
                let report = try await run.run(fault, timeline: Timeline(watcher: Reporter().report))
                Reporter.print(report.checks)
                Terminal.print()
                reports.append(report)
            }
        }
        for line in ReportTable(reports).lines { Terminal.print(line) }
        guard reports.allSatisfy(\.allKept) else { throw LabExit.brokenPromise }
    }

    private func composedService() async throws -> ComposedService {
        let named = project ?? getenv("COMPOSE_PROJECT_NAME").map { String(cString: $0) }
        return try await ComposedService.find(on: try .fromEnvironment(), project: named == "" ? nil : named)
    }

    private func database() async throws -> any DatabaseControl {
        guard PostgresSandbox.exists(in: folder) else {
            throw SandboxError(.folder, "\(folder) holds no database: use --folder, or --docker for a container")
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
                throw ValidationError(
                    "no such fault: \(name); the faults are \(Fault.all.map(\.name).joined(separator: ", "))")
            }
            return fault
        }
    }
}
