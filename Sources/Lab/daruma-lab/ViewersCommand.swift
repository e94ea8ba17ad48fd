import ArgumentParser
import Benchmarks
import FaultLab
import PostgresTestKit

/// The cost of many viewers of the status page.
struct ViewersCommand: LabCommand {
    static let configuration = CommandConfiguration(
        commandName: "viewers",
        abstract: "Opens the event stream of /status for many viewers, and prints the service's processor time.",
        discussion: """
            Processor time is that of the service's process, from /proc. Without --service, starts a service and a \
            PostgreSQL. --pings requests /ping meanwhile, so that the pool's state changes all the time. The exit \
            status is 1 if the limit was exceeded or a viewer was disconnected.
            """)

    @Option(help: "The number of viewers.")
    var count = 200

    @Option(help: "The length of the measurement, in seconds.")
    var seconds = 20.0

    @Option(help: "The address of a running service on this machine.", transform: ChaosCommand.address)
    var service: ServiceAddress?

    @Option(help: "The number of clients of /ping, each with a request every 20 ms.")
    var pings = 4

    @Option(help: "The limit for the cost of the viewers, in per cent of one core.")
    var limit = 5.0

    func validate() throws {
        try require("--count", count, in: 1...10_000)
        try require("--seconds", seconds, in: 1...3_600)
        try require("--pings", pings, in: 0...64)
    }

    func perform() async throws {
        if let service {
            guard let id = ProcessTable.listener(on: service.port) else {
                throw SandboxError(.service, "no process on this machine listens on \(service)")
            }
            return try Reporter.finish(try await measure(service, id))
        }
        let checks = try await PostgresSandbox.withSandbox { sandbox in
            let arguments = ["--status-max-viewers", "\(count)"]
            return try await ServiceProcess.withDaruma(arguments, databaseURL: sandbox.connectionURL()) {
                try await measure($1, $0.id)
            }
        }
        try Reporter.finish(checks)
    }

    private func measure(_ address: ServiceAddress, _ id: Int32) async throws -> [Check] {
        let timeline = Timeline()
        let probes = (0..<pings).map { _ in
            ProbeLoop(address, path: "/ping", every: .milliseconds(20), into: timeline)
        }
        let half = Duration.seconds(option: seconds / 2)
        let (_, alone) = try await Self.cost(of: id) { try await Task.sleep(for: half) }
        let count = count
        let (viewers, with) = try await Self.cost(of: id) {
            try await offCooperativeThreads {
                let deadline = Deadline(in: half * 2)
                let viewers = try EventViewers(
                    count: count, host: address.host, port: address.port, keepsBytes: false, deadline: deadline)
                viewers.watch(deadline)
                return viewers.viewers
            }
        }
        for probe in probes { await probe.stop() }
        let events = viewers.reduce(0) { $0 + $1.events }
        let bytes = viewers.reduce(0) { $0 + $1.byteCount }
        let lost = viewers.count { $0.hasEnded || $0.events == 0 }
        func figure(_ value: Double) -> String { Figure.fixed(value, 2) }
        Terminal.print(
            "events received      \(events), \(figure(Double(events) / Double(count) / seconds)) a second each")
        Terminal.print("bytes received       \(bytes), \(events == 0 ? 0 : bytes / events) an event")
        Terminal.print("processor, unwatched \(figure(alone)) % of one core, with \(pings) clients of /ping")
        Terminal.print("processor, watched   \(figure(with)) %")
        return [
            Check(isKept: lost == 0, text: "\(lost) of \(viewers.count) viewers were disconnected (none may)"),
            Limit.atMost(limit).check("the viewers cost", with - alone, unit: " % of one core"),
        ]
    }

    /// The result of `body`, and the processor time that a process used during it, in percent of one core.
    private static func cost<Value>(
        of id: Int32, _ body: () async throws -> Value
    ) async throws -> (Value, Double) {
        guard let before = ProcessUsage(of: id) else {
            throw SandboxError(.service, "this user may not inspect process \(id)")
        }
        let begin = ContinuousClock.now
        let value = try await body()
        guard let after = ProcessUsage(of: id) else { throw SandboxError(.service, "process \(id) has ended") }
        return (value, (after.processorTime - before.processorTime) / (ContinuousClock.now - begin) * 100)
    }
}
