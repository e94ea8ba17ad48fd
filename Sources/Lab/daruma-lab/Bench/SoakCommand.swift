import ArgumentParser
import Benchmarks
import PostgresTestKit

/// The service under a mixed load for a long time.
struct SoakCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "soak",
        abstract: "Watches memory, descriptors and threads of the service under a mixed load.",
        discussion: """
            The load: /, /ping, pipelines, fresh connections, paths that are not there, and what is no HTTP at all. The \
            first quarter of the time is for warming up. Exit status 1: memory, descriptors or threads grew.
            """)

    @Option(help: "How long.")
    var minutes = 30.0

    @Option(help: "How much memory may grow after the first quarter, in KiB.")
    var allowed = 1024

    func validate() throws {
        guard minutes > 0, minutes <= 10_000 else { throw ValidationError("--minutes is a number above zero") }
    }

    private struct Sample {
        let minute: Double
        let usage: ProcessUsage
    }

    func run() async throws {
        try await LabExit.run {
            try await PostgresSandbox.withSandbox { sandbox in
                let port = try PortReservation.unreserved()
                let service = try await ServiceProcess.start(
                    [try ServiceProcess.darumaBinary(), "serve", "--host", "127.0.0.1", "--port", "\(port)"],
                    environment: [
                        "DATABASE_URL": sandbox.connectionURL(parameters: ["sslmode": "disable"]),
                        "LOG_LEVEL": "warning",
                    ])
                try await service.waitUntilListening(on: port)
                _ = try await Deadline(in: .seconds(20)).wait { await HTTPProbe.get("/ping", port: port).isGood }
                let load = MixedLoad(port: port)
                let samples = try await watch(service)
                let answered = await load.stop()
                try judge(samples, answered)
                guard try await service.stop() == .code(0) else {
                    throw SandboxError(.service, "the service did not leave in order", logTail: service.logTail)
                }
            }
        }
    }

    private func watch(_ service: ServiceProcess) async throws -> [Sample] {
        let begin = ContinuousClock.now
        let interval = Duration.seconds(max(minutes * 60 / 180, 0.5))
        var samples: [Sample] = []
        var nextLine = 0.0
        Terminal.say(" minute  resident KiB  descriptors  threads")
        while true {
            guard let usage = service.usage else {
                throw SandboxError(.service, "the service ended", logTail: service.logTail)
            }
            let minute = (ContinuousClock.now - begin).milliseconds / 60_000
            samples.append(Sample(minute: minute, usage: usage))
            if minute >= nextLine || minute >= minutes {
                let cells = [usage.residentKilobytes, usage.fileDescriptors, usage.threads].map { "\($0)" }
                Terminal.say(
                    Figure.fixed(minute, 1).leftPadded(to: 7) + cells[0].leftPadded(to: 14)
                        + cells[1].leftPadded(to: 13) + cells[2].leftPadded(to: 9))
                nextLine += minutes / 30
            }
            if minute >= minutes { return samples }
            try await Task.sleep(for: interval)
        }
    }

    private func judge(_ samples: [Sample], _ answered: (requests: Int, failures: Int)) throws {
        let steady = samples.filter { $0.minute >= minutes / 4 }
        guard let first = steady.first, let last = steady.last,
            let trend = LinearFit(steady.map { ($0.minute, Double($0.usage.residentKilobytes)) })
        else { throw ExitCode(1) }
        let growth = trend.slope * (last.minute - first.minute)
        Terminal.say()
        Terminal.say(
            "\(Figure.grouped(Double(answered.requests))) requests, \(answered.failures) answered wrongly or not")
        Terminal.say(
            "memory after the first quarter: \(Figure.fixed(trend.slope, 2)) KiB a minute, "
                + "\(Figure.fixed(growth, 0)) KiB in all (at most \(allowed))")
        Terminal.say(
            "descriptors \(first.usage.fileDescriptors) → \(last.usage.fileDescriptors), "
                + "threads \(first.usage.threads) → \(last.usage.threads)")
        // What is on its way at the moment of counting comes and goes.
        let isSteady =
            last.usage.fileDescriptors <= first.usage.fileDescriptors + 8
            && last.usage.threads <= first.usage.threads + 2
        guard growth <= Double(allowed), isSteady, answered.failures == 0 else { throw ExitCode(1) }
    }
}
