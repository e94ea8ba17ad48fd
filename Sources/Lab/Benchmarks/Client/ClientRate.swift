internal import DispatchLoop
internal import DispatchPostgres
internal import FaultLab
internal import PostgresClient
internal import PostgresTestKit

/// Compares small queries through `PostgresClient`, from tasks of the global executor, with the same ones through the pool
/// by tasks on the loop.
package struct ClientRate: Sendable {
    package struct Plan: Sendable {
        package var callers = 64
        package var poolSize = 10
        package var rounds = 5
        /// The length of each load.
        package var seconds = 3.0

        package init() {}
    }

    package enum Way: String, CaseIterable, Sendable {
        case pool = "the pool, on the loop"
        case client = "the client, from the global executor"
    }

    private let plan: Plan
    private let database: Int32
    private let databaseURL: String

    /// - Parameters:
    ///   - database: the server's process, for its processor time.
    ///   - databaseURL: the connection string, without TLS.
    package init(_ plan: Plan, database: Int32, databaseURL: String) {
        self.plan = plan
        self.database = database
        self.databaseURL = databaseURL
    }

    private static let sql = "select 1"

    /// Measures both ways in turn in each round; one figure of each for each round.
    package func run(log: @Sendable (String) -> Void) async throws -> [Way: [Measurement]] {
        var settings = PoolSettings()
        settings.minimum = plan.poolSize
        settings.maximum = plan.poolSize
        settings.maximumWaiters = plan.callers
        settings.outageGrace = .seconds(30)
        let pool = await PostgresPool(ConnectionConfiguration(databaseURL), settings: settings)
        await pool.start()
        var clientSettings = PostgresClient.Settings()
        clientSettings.pool = settings
        clientSettings.timeout = .seconds(30)
        let client = PostgresClient(ConnectionConfiguration(databaseURL), settings: clientSettings)
        let running = Task { await client.run() }
        defer { running.cancel() }

        let ways: [(Way, @Sendable () async throws -> Void)] = [
            (.pool, { try await Self.query(pool) }),
            (.client, { try await Self.query(client) }),
        ]
        var figures: [Way: [Measurement]] = [:]
        for (way, query) in ways { _ = try await load(way, seconds: 0.5, query) }
        for round in 1...plan.rounds {
            log("round \(round) of \(plan.rounds)")
            for (way, query) in ways {
                figures[way, default: []].append(try await load(way, seconds: plan.seconds, query))
            }
        }
        await client.shutDown()
        await pool.close(deadline: .now() + .seconds(5))
        return figures
    }

    @LoopActor
    private static func query(_ pool: PostgresPool) async throws {
        let deadline = MonotonicTime.now() + .seconds(30)
        let connection = try await pool.checkOut(deadline: deadline)
        defer { pool.release(connection) }
        let result = try await connection.query(sql, isIdempotent: true, isPrepared: true, deadline: deadline)
        guard result.values == ["1"] else { throw SandboxError(.service, "a wrong answer: \(result.values)") }
    }

    private static func query(_ client: PostgresClient) async throws {
        var statement = SQLStatement(unescaped: sql)
        statement.isPrepared = true
        let one = try await client.query(statement, isIdempotent: true).decodeOne(Int.self)
        guard one == 1 else { throw SandboxError(.service, "a wrong answer: \(one)") }
    }

    private func load(
        _ way: Way, seconds: Double, _ query: @escaping @Sendable () async throws -> Void
    ) async throws -> Measurement {
        guard let before = ProcessTree(database) else { throw SandboxError(.notRunning, "PostgreSQL has ended") }
        let used = ProcessorTime.nanoseconds
        let begin = MonotonicTime.now()
        let end = begin + .milliseconds(Int64(seconds * 1_000))
        let caller: @Sendable () async throws -> [Duration] = {
            var latencies: [Duration] = []
            var last = MonotonicTime.now()
            repeat {
                try await query()
                let now = MonotonicTime.now()
                latencies.append(now - last)
                last = now
            } while last < end
            return latencies
        }
        let latencies = try await withThrowingTaskGroup(of: [Duration].self) { group in
            for _ in 0..<plan.callers {
                switch way {
                case .pool: group.addTask { try await Self.onLoop(caller) }
                case .client: group.addTask { try await caller() }
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        let time = MonotonicTime.now() - begin
        let own = Double(ProcessorTime.nanoseconds - used) / 1_000
        guard let after = ProcessTree(database) else { throw SandboxError(.notRunning, "PostgreSQL has ended") }
        let count = Double(latencies.count)
        return Measurement(
            requestsPerSecond: count / (Double(time.nanoseconds) / 1e9),
            p50: Double(latencies.percentile(50).nanoseconds) / 1e6,
            p99: Double(latencies.percentile(99).nanoseconds) / 1e6, processorMicroseconds: own / count,
            databaseMicroseconds: Double(after.processorMicroseconds - before.processorMicroseconds) / count)
    }

    /// In a task that stays on the loop, as those of a service do.
    private static func onLoop(
        _ caller: @escaping @Sendable () async throws -> [Duration]
    ) async throws -> [Duration] {
        let result = Locked(Result<[Duration], any Error>.success([]))
        await EventLoop.shared.task { @LoopActor in
            do {
                let latencies = try await caller()
                result.withLock { $0 = .success(latencies) }
            } catch { result.withLock { $0 = .failure(error) } }
        }.value
        return try result.withLock { try $0.get() }
    }
}
