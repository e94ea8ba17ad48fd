internal import DispatchHTTP
internal import DispatchLoop
internal import FaultLab
internal import Glibc
internal import HTTP1
internal import HTTPTypes
internal import PostgresClient
package import PostgresTestKit

/// Reads and writes many rows through `PostgresClient`, in the process of a service that answers `/` on the same loop, and
/// beside it through `psql`.
package struct ClientStream: Sendable {
    package struct Plan: Sendable {
        package var rows = 1_000_000
        package var rounds = 3
        /// Further programs, by name: each reads the statement's rows from DATABASE_URL and STATEMENT.
        package var peers: [(name: String, command: String)] = []

        package init() {}
    }

    package struct Figures: Sendable {
        package let way: String
        package let rowsPerSecond: Double
        /// How far resident memory grew; nil for another process.
        package var growthKiB: Int?
        /// Of `/` meanwhile, in milliseconds.
        package var rootP99: Double?
    }

    private let plan: Plan
    private let sandbox: PostgresSandbox

    package init(_ plan: Plan, on sandbox: PostgresSandbox) {
        self.plan = plan
        self.sandbox = sandbox
    }

    private var select: String {
        "select n, n::bigint * 1000, 'name of row ' || n, n / 7.0::double precision, "
            + "timestamp '2026-01-01' + n * interval '1 second' from generate_series(1, \(plan.rows)) n"
    }

    /// Measures all ways in turn in each round.
    package func run(log: @Sendable (String) -> Void) async throws -> [Figures] {
        let url = sandbox.connectionURL(parameters: ["sslmode": "disable", "gssencmode": "disable"])
        let client = PostgresClient(ConnectionConfiguration(url))
        let running = Task { await client.run() }
        defer { running.cancel() }
        let service = try await RootService.start()
        _ = try await client.query(
            "create table copied (a int, b bigint, c text, d double precision, e timestamp)")
        // The first use of everything allocates what stays.
        try await client.withRows("select 1, 1::bigint, 'x', 1::float8, now()::timestamp::text") { rows in
            for try await row in rows { _ = try row.decode((Int, Int, String, Double, String).self) }
        }
        var figures: [Figures] = []
        for round in 1...plan.rounds {
            log("round \(round) of \(plan.rounds)")
            figures.append(try await measure("client, rows decoded", service) { try await readRows(client) })
            figures.append(try await measure("client, COPY out", service) { try await copyOut(client) })
            figures.append(try await measure("client, COPY in", service) { try await copyIn(client) })
            figures.append(try await other("psql, COPY out", psql("copy (\(select)) to stdout", url, "> /dev/null")))
            for peer in plan.peers { figures.append(try await other(peer.name, peer.command)) }
        }
        await service.stop()
        await client.shutDown()
        return figures
    }

    private func readRows(_ client: PostgresClient) async throws {
        var count = 0
        try await client.withRows(SQLStatement(unescaped: select), timeout: .seconds(60)) { rows in
            for try await row in rows {
                _ = try row.decode((Int, Int, String, Double, String).self, file: #fileID, line: #line)
                count += 1
            }
        }
        guard count == plan.rows else { throw SandboxError(.service, "\(count) rows came, not \(plan.rows)") }
    }

    private func copyOut(_ client: PostgresClient) async throws {
        var bytes = 0
        try await client.withCopyOut(SQLStatement(unescaped: "copy (\(select)) to stdout"), timeout: .seconds(60)) {
            data in
            for try await piece in data { bytes += piece.count }
        }
        guard bytes > plan.rows else { throw SandboxError(.service, "\(bytes) bytes came") }
    }

    private func copyIn(_ client: PostgresClient) async throws {
        _ = try await client.query("truncate copied")
        let rows = plan.rows
        let lines = Lines(count: rows)
        let count = try await client.copyIn("copy copied from stdin", from: lines, timeout: .seconds(60))
        guard count == rows else { throw SandboxError(.service, "\(count) rows were copied, not \(rows)") }
    }

    /// Lines of the table, made as they are asked for.
    private struct Lines: AsyncSequence, AsyncIteratorProtocol {
        let count: Int
        private var next = 0

        init(count: Int) { self.count = count }

        func makeAsyncIterator() -> Lines { self }

        mutating func next() async -> [UInt8]? {
            guard next < count else { return nil }
            var text = ""
            for number in next..<Swift.min(next + 500, count) {
                text += "\(number)\t\(number * 1_000)\tname of row \(number)\t0.5\t2026-01-01 00:00:00\n"
            }
            next += 500
            return Array(text.utf8)
        }
    }

    private func psql(_ sql: String, _ url: String, _ rest: String) -> String {
        "psql --no-psqlrc --quiet '\(url)' -c \"\(sql)\" \(rest)"
    }

    // MARK: Measuring

    private func measure(
        _ way: String, _ service: RootService, _ work: () async throws -> Void
    ) async throws -> Figures {
        let own = getpid()
        let before = ProcessUsage(of: own)?.residentKilobytes ?? 0
        let most = Locked(before)
        let watch = BackgroundLoop("memory", pause: .milliseconds(20)) {
            let now = ProcessUsage(of: own)?.residentKilobytes ?? 0
            most.withLock { $0 = max($0, now) }
        }
        let timeline = Timeline()
        let probe = ProbeLoop(service.address, path: "/", every: .milliseconds(2), into: timeline)
        let begin = ContinuousClock.now
        do { try await work() } catch {
            await watch.stop()
            await probe.stop()
            throw error
        }
        let time = ContinuousClock.now - begin
        await watch.stop()
        await probe.stop()
        let root = timeline.exchanges(on: "/")
        guard !root.isEmpty, root.allSatisfy(\.isGood) else { throw SandboxError(.service, "/ failed meanwhile") }
        return Figures(
            way: way, rowsPerSecond: Double(plan.rows) / (Double(time.nanoseconds) / 1e9),
            growthKiB: most.withLock { $0 } - before,
            rootP99: Double(root.map(\.latency).percentile(99).nanoseconds) / 1e6)
    }

    private func other(_ way: String, _ command: String) async throws -> Figures {
        let url = sandbox.connectionURL(parameters: ["sslmode": "disable"])
        let begin = ContinuousClock.now
        try await Command(
            executable: "/bin/sh", arguments: ["-c", command],
            environment: ["DATABASE_URL": url, "STATEMENT": select], deadline: .seconds(120)
        ).run()
        let time = ContinuousClock.now - begin
        return Figures(way: way, rowsPerSecond: Double(plan.rows) / (Double(time.nanoseconds) / 1e9))
    }
}

/// A server that answers `/`, on the loop that the client's sessions are on.
@LoopActor
private final class RootService {
    private let server: HTTPServer
    nonisolated let address: ServiceAddress

    private init(port: UInt16) {
        var router = Router()
        router.get("/", always: Response(status: .ok, text: "{\"status\": true}\n", contentType: "application/json"))
        server = HTTPServer(configuration: ServerConfiguration(port: port), responder: router)
        address = ServiceAddress(port: port)
    }

    static func start() throws -> RootService {
        let service = RootService(port: try PortReservation.unreserved())
        _ = try service.server.start()
        return service
    }

    func stop() async { _ = await server.drain(deadline: .now() + .seconds(2)) }
}
