import ArgumentParser
import Benchmarks
import PostgresTestKit

/// How small the service is and how soon it answers.
struct StartupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "startup",
        abstract: "Measures from exec to the first 200, the binary, and what is resident after many requests.")

    @Option(help: "How often it is started.")
    var times = 20

    @Option(help: "How many requests before memory is looked at.")
    var requests = 100_000

    func validate() throws {
        guard times > 0, requests >= 0 else { throw ValidationError("--times and --requests are numbers above zero") }
    }

    func run() async throws {
        try await LabExit.run {
            let binary = try ServiceProcess.darumaBinary()
            let megabytes = Double(Files.size(binary)) / 1e6
            Terminal.say("binary: \(Figure.fixed(megabytes, 1)) MB (at most 13)")
            try await PostgresSandbox.withSandbox { sandbox in
                let url = sandbox.connectionURL(parameters: ["sslmode": "disable"])
                try await starts(binary, url)
                try await memory(binary, url)
            }
        }
    }

    private func starts(_ binary: String, _ url: String) async throws {
        var all: [Double] = []
        for _ in 0..<times {
            let port = try PortReservation.unreserved()
            let result = await offCooperativeThreads {
                Result {
                    try StartUp.measure(
                        [binary, "serve"], port: port,
                        environment: ["HOST=127.0.0.1", "PORT=\(port)", "DATABASE_URL=\(url)"])
                }
            }
            all.append(try result.get().milliseconds)
        }
        let texts = [median(all), all.min(), all.max()].map { Figure.fixed($0, 1) }
        Terminal.say(
            "exec to the first 200: median \(texts[0]) ms (at most 20), least \(texts[1]), most \(texts[2]), "
                + "of \(times)")
    }

    private func memory(_ binary: String, _ url: String) async throws {
        let service = try await ServiceProcess.start(
            [binary, "serve", "--host", "127.0.0.1", "--port", "0"], environment: ["DATABASE_URL": url])
        do {
            let port = try await service.waitUntilListening()
            show("at first", service.id)
            let (few, requests) = (self.requests / 10, self.requests)
            let failure: (any Error)? = await offCooperativeThreads {
                do {
                    try LockstepClient(port: port, path: "/ping").send(few)
                    try LockstepClient(port: port, path: "/").send(requests - few, depth: 16)
                    return nil
                } catch {
                    return error
                }
            }
            if let failure { throw failure }
            show("after \(Figure.grouped(Double(requests))) requests (at most 14.0 MiB)", service.id, details: true)
        } catch {
            _ = try? await service.stop()
            throw error
        }
        _ = try await service.stop()
    }

    private func show(_ when: String, _ id: Int32, details: Bool = false) {
        guard let map = MemoryMap(of: id) else { return }
        let texts = [map.residentKilobytes, map.privateKilobytes].map { Figure.fixed(Double($0) / 1024, 1) }
        Terminal.say("resident \(when): \(texts[0]) MiB, of which \(texts[1]) MiB are its own (not pages of files)")
        guard details else { return }
        var table = TextTable(["", "resident KiB", "own KiB"])
        for share in map.shares.prefix(12) {
            table.rows.append([share.name, "\(share.residentKilobytes)", "\(share.privateKilobytes)"])
        }
        for line in table.lines { Terminal.say("  " + line) }
    }
}
