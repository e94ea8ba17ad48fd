import ArgumentParser
import Benchmarks
import FaultLab
import PostgresTestKit

/// The size of the service, and the time until its first answer.
struct StartupCommand: LabCommand {
    static let configuration = CommandConfiguration(
        commandName: "startup",
        abstract: "Measures the time from exec to the first 200, the binary, and the memory after many requests.",
        discussion: "Exit status 1: a figure exceeded its limit.")

    @Option(help: "The number of starts.")
    var times = 20

    @Option(help: "The number of requests before memory is measured.")
    var requests = 100_000

    func validate() throws {
        try require("--times", times, in: 1...10_000)
        try require("--requests", requests, in: 0...100_000_000)
    }

    func perform() async throws {
        let binary = try ServiceProcess.darumaBinary()
        let megabytes = Double(Files.size(binary)) / 1e6
        let (start, memory) = try await PostgresSandbox.withSandbox { sandbox in
            let url = sandbox.connectionURL(parameters: ["sslmode": "disable"])
            return (try await measureStarts(binary, url), try await measureMemory(binary, url))
        }
        Terminal.print()
        try Reporter.finish([
            Limit.atMost(13).check("binary", megabytes, digits: 1, unit: " MB"),
            Limit.atMost(20).check("exec to the first 200, median of \(times)", start, digits: 1, unit: " ms"),
            Limit.atMost(14).check("resident after the requests", memory, digits: 1, unit: " MiB"),
        ])
    }

    /// The median in milliseconds.
    private func measureStarts(_ binary: String, _ url: String) async throws -> Double? {
        var all: [Double] = []
        for _ in 0..<times {
            let port = try PortReservation.unreserved()
            let time = try await offCooperativeThreads {
                try StartUp.measure(
                    [binary, "serve"], port: port,
                    environment: ["HOST=127.0.0.1", "PORT=\(port)", "DATABASE_URL=\(url)"])
            }
            all.append(time.fractionalMilliseconds)
        }
        let texts = [all.min(), all.max()].map { Figure.fixed($0, 1) }
        Terminal.print("exec to the first 200: \(texts[0]) to \(texts[1]) ms")
        return median(all)
    }

    /// The resident memory in MiB.
    private func measureMemory(_ binary: String, _ url: String) async throws -> Double? {
        try await ServiceProcess.withDaruma(databaseURL: url, binary: binary) { service, address in
            if let map = MemoryMap(of: service.id) { Terminal.print("resident at first: \(map.summary)") }
            let (few, requests) = (self.requests / 10, self.requests)
            try await offCooperativeThreads {
                try LockstepClient(port: address.port, path: "/ping").send(few)
                try LockstepClient(port: address.port, path: "/").send(requests - few, depth: 16)
            }
            guard let map = MemoryMap(of: service.id) else { return nil }
            Terminal.print("resident after \(Figure.grouped(Double(requests))) requests: \(map.summary)")
            let rows = map.shares.prefix(12).map { [$0.name, "\($0.residentKilobytes)", "\($0.privateKilobytes)"] }
            for line in TextTable(["", "resident KiB", "own KiB"], Array(rows)).lines { Terminal.print("  " + line) }
            return Double(map.residentKilobytes) / 1024
        }
    }
}
