import Glibc
import PostgresTestKit
import Testing

extension EndToEnd {
    @Suite("health check and shutdown,", .serialized)
    struct ShutdownTests {
        @Test("the health check tells a running service from a missing one")
        func healthCheck() async throws {
            let binary = try ServiceProcess.darumaBinary()
            let sandbox = try await PostgresSandbox.make()  // Stopped: /livez does not depend on it.
            var port: UInt16 = 0
            try await withService(sandbox.connectionURL()) { service in
                port = service.port
                let check = try await ServiceProcess.start([binary, "healthcheck"], environment: ["PORT": "\(port)"])
                #expect(try await check.waitForExit(within: patience) == .code(0), "\(check.log)")
            }
            let check = try await ServiceProcess.start([binary, "healthcheck"], environment: ["PORT": "\(port)"])
            #expect(try await check.waitForExit(within: patience) == .code(1))
            try await sandbox.remove()
        }

        @Test(
            "a signal with requests in flight: all are answered, exit 0, no session is left",
            arguments: [SIGTERM, SIGINT, SIGHUP])
        func gracefulShutdown(_ signal: Int32) async throws {
            try await PostgresSandbox.withSandbox { sandbox in
                try await withService(sandbox.connectionURL()) { service in
                    #expect(try await service.isGoodAgain())
                    // A frozen database keeps the requests in flight.
                    try await sandbox.freeze()
                    let (port, process) = (service.port, service.process)
                    let inFlight = RequestsInFlight(port: port)
                    #expect(await inFlight.send() == [])
                    // An answer to this request proves that the loop has read the earlier ones.
                    #expect(await service.get("/").isGood)
                    process.signal(signal)
                    try await sandbox.thaw()
                    let outcomes = await inFlight.receive()
                    #expect(outcomes.count == 16)
                    #expect(outcomes.filter { $0.status == nil }.map(\.summary) == [])
                    #expect(try await process.waitForExit(within: patience) == .code(0))
                    #expect(try await Deadline(in: patience).wait { try await sandbox.sessionCount() == 0 })
                }
            }
        }

        private func start(_ words: [String], _ arguments: [String] = []) async throws -> ServiceProcess {
            try await ServiceProcess.start(
                words + [try ServiceProcess.darumaBinary(), "serve", "--host", "127.0.0.1", "--port", "0"] + arguments,
                environment: ["DATABASE_URL": "postgres://nobody@127.0.0.1:1/none", "PORT": nil, "HOST": nil])
        }

        @Test("a second signal stops it at once, with the signal's status", arguments: [SIGTERM, SIGINT, SIGHUP])
        func secondSignal(_ second: Int32) async throws {
            let process = try await start([], ["--drain-delay", "60s"])
            _ = try await process.waitUntilListening(within: patience)
            process.signal(SIGTERM)
            #expect(try await Deadline(in: patience).wait { process.log.contains("draining: readiness fails") })
            // After 100 ms: an earlier second signal counts as an echo of the first.
            try await Task.sleep(for: .milliseconds(150))
            process.signal(second)
            #expect(try await process.waitForExit(within: patience) == .code(128 + second), "\(process.log)")
            #expect(process.log.contains("second signal: stopping at once"))
        }

        @Test("under nohup, SIGHUP does not stop it")
        func nohup() async throws {
            let process = try await start(["nohup"])
            let port = try await process.waitUntilListening(within: patience)
            process.signal(SIGHUP)
            // Long enough for a shutdown without requests in flight.
            for _ in 0..<50 {
                #expect(await HTTPProbe.get("/", port: port, limit: patience).isGood)
                try await Task.sleep(for: .milliseconds(10))
            }
            process.signal(SIGTERM)
            #expect(try await process.waitForExit(within: patience) == .code(0), "\(process.log)")
        }
    }
}

/// Sixteen requests on separate connections, sent and received on threads that may block.
private final class RequestsInFlight: @unchecked Sendable {
    // `@unchecked`, because probes are not Sendable. `send` returns before `receive` begins, so one thread at a time
    // uses them.
    private let probes: [HTTPProbe]

    init(port: UInt16) { probes = (0..<16).map { _ in HTTPProbe(port: port, limit: patience) } }

    /// Returns the failures.
    func send() async -> [String] {
        await offCooperativeThreads { self.probes.compactMap { $0.send("/ping")?.summary } }
    }

    func receive() async -> [HTTPExchange] {
        await offCooperativeThreads { self.probes.map { $0.receive() } }
    }
}
