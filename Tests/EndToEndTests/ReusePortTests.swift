import Glibc
import PostgresTestKit
import Synchronization
import Testing

extension EndToEnd {
    @Suite("with several processes on one port,", .serialized)
    struct ReusePortTests {
        private static let clients = 24

        @Test("the end of one costs the connections that it held, and nobody else anything")
        func oneIsKilled() async throws {
            try await PostgresSandbox.withSandbox { sandbox in
                let processes = try await Self.four(on: sandbox.connectionURL())
                let port = processes.port
                let load = Load(port: port, clients: Self.clients)
                #expect(await load.begin() == Array(repeating: "200", count: Self.clients))
                func held(by process: ServiceProcess) -> Int {
                    ProcessTable.connections(of: process.id, acceptedOn: port)
                }
                let counts = processes.all.map(held)
                #expect(counts.reduce(0, +) == Self.clients)
                // Each process has its own pool; together they account for all sessions at the server.
                try await Self.sessionsAddUp(processes.all, sandbox)

                let most = try #require(counts.indices.max { counts[$0] < counts[$1] })
                let (victim, living) = (processes.all[most], processes.all.enumerated().filter { $0.offset != most })
                async let results = load.run()
                #expect(try await load.everybodyAsked(10))
                victim.signal(SIGKILL)
                #expect(try await victim.waitForExit(within: patience) == .signal(SIGKILL))
                #expect(try await load.everybodyAsked(20))
                load.stop()

                let failures = await results
                // A client of the killed process loses at most the request in flight. Its next connection goes to
                // another process.
                #expect(failures.filter { !$0.isEmpty }.count <= counts[most], "\(failures)")
                // It fails twice if the kernel put the new connection into the dead process's backlog just before
                // closing it.
                #expect(failures.allSatisfy { $0.count <= 2 }, "\(failures)")
                #expect(living.map { held(by: $0.element) }.reduce(0, +) == Self.clients)
                try await Self.sessionsAddUp(living.map(\.element), sandbox)
                for (_, process) in living {
                    #expect(try await process.stop(within: patience) == .code(0), "\(process.logTail ?? "")")
                }
            }
        }

        private static func four(on url: String) async throws -> (all: [ServiceProcess], port: UInt16) {
            var all: [ServiceProcess] = []
            var port: UInt16 = 0
            for _ in 0..<4 {
                let process = try await ServiceProcess.start(
                    [
                        try ServiceProcess.darumaBinary(), "serve", "--host=127.0.0.1", "--port=\(port)",
                        "--reuse-port=true", "--pool-max=2",
                    ], environment: ["DATABASE_URL": url])
                port = try await process.waitUntilListening(within: patience)
                all.append(process)
            }
            return (all, port)
        }

        private static func sessionsAddUp(_ processes: [ServiceProcess], _ sandbox: PostgresSandbox) async throws {
            var seen: (server: Int, processes: [Int]) = (0, [])
            let addUp = try await Deadline(in: patience).wait(every: .milliseconds(50)) {
                seen.server = try await sandbox.sessionCount()
                seen.processes = processes.map { ProcessTable.connections(of: $0.id, to: [sandbox.port]) }
                return seen.server == seen.processes.reduce(0, +) && seen.processes.allSatisfy { (1...2).contains($0) }
            }
            #expect(addUp, "\(seen)")
        }
    }
}

/// Clients that request `/ping` on persistent connections, all at once, from one thread that may block. They do not
/// retry, which would hide a failure.
private final class Load: Sendable {
    private let rounds = Atomic(0)
    private let isOver = Atomic(false)
    // `nonisolated(unsafe)`, because probes are not Sendable. `begin` returns before `run` begins, so one thread at a
    // time uses them.
    private nonisolated(unsafe) let probes: [HTTPProbe]

    init(port: UInt16, clients: Int) {
        probes = (0..<clients).map { _ in HTTPProbe(port: port, limit: patience) }
    }

    /// Connects every client with one request.
    func begin() async -> [String] {
        await offCooperativeThreads { self.round().map(\.summary) }
    }

    /// Sends requests until `stop`; returns the failures of each client.
    func run() async -> [[String]] {
        await offCooperativeThreads {
            var bad = self.probes.map { _ in [String]() }
            while !self.isOver.load(ordering: .relaxed) {
                for (index, exchange) in self.round().enumerated() where !exchange.isGood {
                    bad[index].append(exchange.summary)
                }
                self.rounds.add(1, ordering: .relaxed)
            }
            return bad
        }
    }

    /// Every client sends its request before the first answer is read.
    private func round() -> [HTTPExchange] {
        let unsent = probes.map { $0.send("/ping") }
        return zip(probes, unsent).map { probe, failed in failed ?? probe.receive() }
    }

    /// Waits until each client has sent `times` further requests.
    func everybodyAsked(_ times: Int) async throws -> Bool {
        let before = rounds.load(ordering: .relaxed)
        return try await Deadline(in: patience).wait { rounds.load(ordering: .relaxed) >= before + times }
    }

    func stop() { isOver.store(true, ordering: .relaxed) }
}
