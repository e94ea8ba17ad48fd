import ArgumentParser
import FaultLab
import PostgresTestKit

/// What a service costs while many watch its status page.
struct ViewersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "viewers",
        abstract: "Watches /status live as many pages would, and prints what that costs the service.",
        discussion: """
            The processor time is that of the service's process, from /proc. Without --service a service and a \
            PostgreSQL of its own are started; --pings asks /ping meanwhile, so that something changes in the pool \
            all the time. The exit code is 1 if the limit was exceeded or a viewer was lost.
            """)

    @Option(help: "How many watch.")
    var count = 200

    @Option(help: "For how long, in seconds.")
    var seconds = 20.0

    @Option(help: "Where a service listens that runs already, on this machine.", transform: ChaosCommand.address)
    var service: ServiceAddress?

    @Option(help: "How many clients ask /ping meanwhile, each every 20 ms.")
    var pings = 4

    @Option(help: "The most that the viewers may cost, in per cent of one core.")
    var limit = 5.0

    func validate() throws {
        guard (1...10_000).contains(count) else { throw ValidationError("--count is between 1 and 10000") }
        guard seconds >= 1, seconds <= 3_600 else { throw ValidationError("--seconds is between 1 and 3600") }
        guard (0...64).contains(pings) else { throw ValidationError("--pings is between 0 and 64") }
    }

    func run() async throws {
        let command = self
        try await LabExit.run {
            if let service = command.service {
                guard let id = ProcessTable.listener(on: service.port) else {
                    throw SandboxError(.service, "nothing listens on \(service) on this machine")
                }
                try await command.measure(service, id)
            } else {
                try await PostgresSandbox.withSandbox { sandbox in
                    let process = try await ServiceProcess.start(
                        [
                            try ServiceProcess.darumaBinary(), "serve", "--host", "127.0.0.1", "--port", "0",
                            "--status-max-viewers", "\(command.count)",
                        ], environment: ["DATABASE_URL": sandbox.connectionURL()])
                    let address = ServiceAddress(port: try await process.waitUntilListening())
                    try await command.measure(address, process.id)
                    try await process.stop()
                }
            }
        }
    }

    private func measure(_ address: ServiceAddress, _ id: Int32) async throws {
        let timeline = Timeline()
        let probes = (0..<pings).map { _ in
            ProbeLoop(address, path: "/ping", every: .milliseconds(20), into: timeline)
        }
        let half = Duration.milliseconds(Int64(seconds * 500))
        let (_, alone) = try await Self.cost(of: id) { try await Task.sleep(for: half) }
        let count = count
        let (viewers, with) = try await Self.cost(of: id) {
            try await offCooperativeThreads {
                Result {
                    let deadline = Deadline(in: half * 2)
                    let viewers = try EventViewers(
                        count: count, host: address.host, port: address.port, keepsBytes: false, deadline: deadline)
                    viewers.watch(deadline)
                    return viewers.viewers
                }
            }.get()
        }
        for probe in probes { await probe.stop() }
        let events = viewers.reduce(0) { $0 + $1.events }
        let bytes = viewers.reduce(0) { $0 + $1.byteCount }
        let lost = viewers.count { $0.hasEnded || $0.events == 0 }
        let added = with - alone
        Terminal.say("viewers              \(viewers.count), of whom \(lost) were lost")
        Terminal.say(
            "events received      \(events), \((Double(events) / Double(count) / seconds).shown) a second each")
        Terminal.say("bytes received       \(bytes), \(events == 0 ? 0 : bytes / events) an event")
        Terminal.say("processor, unwatched \(alone.shown) % of one core, with \(pings) clients asking /ping")
        Terminal.say("processor, watched   \(with.shown) %")
        Terminal.say("the viewers cost     \(added.shown) %, at most \(limit.shown) %")
        guard lost == 0, added <= limit else { throw LabExit.brokenPromise }
    }

    /// What `body` gives, and the processor time that a process uses during it, in per cent of one core.
    private static func cost<Value>(
        of id: Int32, _ body: () async throws -> Value
    ) async throws -> (Value, Double) {
        guard let before = ProcessUsage(of: id) else {
            throw SandboxError(.service, "process \(id) cannot be looked at")
        }
        let begin = ContinuousClock.now
        let value = try await body()
        guard let after = ProcessUsage(of: id) else { throw SandboxError(.service, "process \(id) has ended") }
        return (value, (after.processorTime - before.processorTime) / (ContinuousClock.now - begin) * 100)
    }
}

extension Double {
    /// With two decimals.
    fileprivate var shown: String {
        let hundredths = Int((self * 100).rounded())
        let rest = "\(abs(hundredths) % 100)"
        return "\(hundredths < 0 ? "-" : "")\(abs(hundredths) / 100).\(rest.count < 2 ? "0" : "")\(rest)"
    }
}
