import ArgumentParser
import Benchmarks
import FaultLab
import PostgresTestKit

/// The service under a mixed load for a long time.
struct SoakCommand: LabCommand {
    static let configuration = CommandConfiguration(
        commandName: "soak",
        abstract: "Measures memory, descriptors and threads of the service under a mixed load.",
        discussion: """
            The load: /, /ping, pipelines, new connections, unknown paths, and input that is not HTTP. The first \
            quarter of the time is for warming up. Exit status 1: memory, descriptors or threads grew.
            """)

    @Option(help: "The length, in minutes.")
    var minutes = 30.0

    @Option(help: "The limit for the growth of memory after the first quarter, in KiB.")
    var allowed = 1024

    func validate() throws { try require("--minutes", minutes, in: 0.01...10_000) }

    private struct Sample {
        let minute: Double
        let usage: ProcessUsage
    }

    func perform() async throws {
        let checks = try await PostgresSandbox.withSandbox { sandbox in
            let url = sandbox.connectionURL(parameters: ["sslmode": "disable"])
            return try await ServiceProcess.withDaruma(databaseURL: url) { service, address in
                try await HTTPProbe.waitUntilGood(port: address.port)
                let load = MixedLoad(port: address.port)
                let samples = try await watch(service)
                return evaluate(samples, await load.stop())
            }
        }
        Terminal.print()
        try Reporter.finish(checks)
    }

    private func watch(_ service: ServiceProcess) async throws -> [Sample] {
        let begin = ContinuousClock.now
        let interval = Duration.seconds(max(minutes * 60 / 180, 0.5))
        var samples: [Sample] = []
        var nextLine = 0.0
        Terminal.print(" minute  resident KiB  descriptors  threads")
        while true {
            guard let usage = service.usage else {
                throw SandboxError(.service, "the service ended", logTail: service.logTail)
            }
            let minute = (ContinuousClock.now - begin).fractionalMilliseconds / 60_000
            samples.append(Sample(minute: minute, usage: usage))
            if minute >= nextLine || minute >= minutes {
                let cells = [usage.residentKilobytes, usage.fileDescriptors, usage.threads].map { "\($0)" }
                Terminal.print(
                    Figure.fixed(minute, 1).leftPadded(to: 7) + cells[0].leftPadded(to: 14)
                        + cells[1].leftPadded(to: 13) + cells[2].leftPadded(to: 9))
                nextLine += minutes / 30
            }
            if minute >= minutes { return samples }
            try await Task.sleep(for: interval)
        }
    }

    private func evaluate(_ samples: [Sample], _ load: (requests: Int, failures: Int)) -> [Check] {
        let steady = samples.filter { $0.minute >= minutes / 4 }
        guard let first = steady.first, let last = steady.last,
            let trend = LinearFit(steady.map { ($0.minute, Double($0.usage.residentKilobytes)) })
        else { return [Check(isKept: false, text: "too few samples")] }
        let growth = trend.slope * (last.minute - first.minute)
        func change(_ name: String, _ value: (ProcessUsage) -> Int, allowed: Int) -> Check {
            // Connections in progress come and go.
            let (before, after) = (value(first.usage), value(last.usage))
            return Check(
                isKept: after <= before + allowed, text: "\(name) \(before) → \(after) (at most \(allowed) more)")
        }
        return [
            Check(
                isKept: load.failures == 0,
                text: "\(load.failures) of \(Figure.grouped(Double(load.requests))) requests failed (none may)"),
            Limit.atMost(Double(allowed)).check("memory grew after the first quarter", growth, digits: 0, unit: " KiB"),
            change("descriptors", \.fileDescriptors, allowed: 8), change("threads", \.threads, allowed: 2),
        ]
    }
}
