package import DispatchLoop
internal import DispatchPostgres
internal import FaultLab
internal import PostgresSession
internal import PostgresTestKit

/// Compares exclusive check-out (one query on a connection at a time) with ``PostgresPipeline`` (several queries on few
/// connections), for many callers with small independent queries.
@LoopActor
package final class Pipelining {
    package struct Plan: Sendable {
        /// Each sends its next query after the answer to the last one.
        package var callers = 64
        package var rounds = 5
        /// The length of each load.
        package var seconds = 3.0
        /// The length of each load before the first round.
        package var warmUpSeconds = 0.5
        /// The connections of the pool for check-out.
        package var poolSize = 10
        /// The connections of the small pool and the small pipeline.
        package var few = 2

        package init() {}
    }

    package enum Query: String, Sendable, CaseIterable {
        case fixed = "select 1"
        case parameter = "select $1::int + 1"

        /// The single value of the correct answer.
        fileprivate func answer(_ number: Int) -> String { self == .fixed ? "1" : String(number + 1) }
        fileprivate func parameters(_ number: Int) -> [String?] { self == .fixed ? [] : [String(number)] }
    }

    /// A way to send queries, with its number of connections.
    package struct Way: Hashable, Sendable {
        package enum Kind: Hashable, Sendable {
            case checkOut
            /// With at most this many queries in flight on each connection.
            case pipeline(depth: Int)
        }

        package let kind: Kind
        package let connections: Int

        /// For the table.
        package var name: String {
            switch kind {
            case .checkOut: "check-out"
            case .pipeline(let depth): "pipeline, \(depth) deep"
            }
        }
    }

    /// One row of the report.
    package struct Cell: Hashable, Sendable {
        package let query: Query
        package let way: Way

        package init(query: Query, way: Way) {
            self.query = query
            self.way = way
        }
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

    /// In the order of the table. The first is the reference.
    package nonisolated static func ways(_ plan: Plan) -> [Way] {
        // Deep enough for every caller's query. A pipeline fills one connection before it takes another, so a deeper
        // pipeline would leave connections unused.
        func pipeline(_ connections: Int) -> Way {
            Way(
                kind: .pipeline(depth: max(1, (plan.callers + connections - 1) / connections)), connections: connections
            )
        }
        var ways = [Way(kind: .checkOut, connections: plan.poolSize)]
        if plan.few != plan.poolSize { ways.append(Way(kind: .checkOut, connections: plan.few)) }
        for connections in [1, plan.few, plan.poolSize] where !ways.contains(pipeline(connections)) {
            ways.append(pipeline(connections))
        }
        return ways
    }

    /// Measures all ways in turn in each round, and returns one figure for each round.
    ///
    /// Throws a `SandboxError` if a query failed or its answer was wrong.
    package func run(log: @escaping @Sendable (String) -> Void) async throws -> [Cell: [Measurement]] {
        let ways = Self.ways(plan)
        var loads: [(way: Way, callers: Callers)] = []
        for way in ways { loads.append((way, Callers(way, count: plan.callers, databaseURL: databaseURL))) }
        var figures: [Cell: [Measurement]] = [:]
        for query in Query.allCases {
            for (_, callers) in loads { _ = try await load(callers, query, seconds: plan.warmUpSeconds) }
        }
        for round in 1...plan.rounds {
            for query in Query.allCases {
                log("round \(round) of \(plan.rounds): \(query.rawValue)")
                for (way, callers) in loads {
                    let measurement = try await load(callers, query, seconds: plan.seconds)
                    figures[Cell(query: query, way: way), default: []].append(measurement)
                }
            }
        }
        for (_, callers) in loads { await callers.close() }
        return figures
    }

    private func load(_ callers: Callers, _ query: Query, seconds: Double) async throws -> Measurement {
        guard let before = ProcessTree(database) else { throw SandboxError(.notRunning, "PostgreSQL has ended") }
        let used = ProcessorTime.nanoseconds
        let begin = MonotonicTime.now()
        await callers.run(query, for: .milliseconds(Int64(seconds * 1000)))
        let time = MonotonicTime.now() - begin
        let own = Double(ProcessorTime.nanoseconds - used) / 1000
        guard let after = ProcessTree(database) else { throw SandboxError(.notRunning, "PostgreSQL has ended") }
        if let failure = callers.failure { throw SandboxError(.service, failure) }
        let latencies = callers.latencies
        let count = Double(max(latencies.count, 1))
        return Measurement(
            requestsPerSecond: count / (Double(time.nanoseconds) / 1e9),
            p50: Double(latencies.percentile(50).nanoseconds) / 1e6,
            p99: Double(latencies.percentile(99).nanoseconds) / 1e6, processorMicroseconds: own / count,
            databaseMicroseconds: Double(after.processorMicroseconds - before.processorMicroseconds) / count)
    }
}

/// The callers of one way, with their own pool.
@LoopActor
private final class Callers {
    private(set) var latencies: [Duration] = []
    /// The first failure.
    private(set) var failure: String?

    private let count: Int
    private let pool: PostgresPool
    /// Nil for check-out.
    private let pipeline: PostgresPipeline?
    private var left = 0
    private var whenDone: CheckedContinuation<Void, Never>?

    init(_ way: Pipelining.Way, count: Int, databaseURL: String) {
        self.count = count
        var settings = PoolSettings()
        settings.minimum = way.connections
        settings.maximum = way.connections
        settings.maximumWaiters = max(count, 1)
        // No timers.
        settings.keepalive = nil
        settings.maximumLifetime = nil
        settings.silenceTimeout = .seconds(60)
        // On a busy machine the first login may take longer than a service would wait.
        settings.outageGrace = .seconds(30)
        pool = PostgresPool(ConnectionConfiguration(databaseURL), settings: settings)
        pipeline =
            switch way.kind {
            case .checkOut: nil
            case .pipeline(let depth):
                PostgresPipeline(pool, maximumSessions: way.connections, depth: depth, maximumWaiting: max(count, 1))
            }
        pool.start()
    }

    /// Sends queries for this time, and waits for the last answers.
    func run(_ query: Pipelining.Query, for time: Duration) async {
        latencies.removeAll(keepingCapacity: true)
        let end = MonotonicTime.now() + time
        left = count
        await withCheckedContinuation { continuation in
            whenDone = continuation
            // On tasks that prefer the loop, as in a service.
            for number in 0..<count { _ = EventLoop.shared.task { await self.caller(number, query, until: end) } }
        }
    }

    private func caller(_ number: Int, _ query: Pipelining.Query, until end: MonotonicTime) async {
        let (sql, parameters, answer) = (query.rawValue, query.parameters(number), query.answer(number))
        let deadline = end + .seconds(30)
        var begin = MonotonicTime.now()
        do {
            // At least one query each: on a busy machine the time may be over before a caller starts.
            repeat {
                let result: QueryResult
                if let pipeline {
                    result = try await pipeline.query(
                        sql, parameters: parameters, isIdempotent: true, isPrepared: true, deadline: deadline)
                } else {
                    let connection = try await pool.checkOut(deadline: deadline)
                    defer { pool.release(connection) }
                    result = try await connection.query(
                        sql, parameters: parameters, isIdempotent: true, isPrepared: true, deadline: deadline)
                }
                if result.values != [answer] { failure = "\(sql) was answered with \(result.values), not \(answer)" }
                let now = MonotonicTime.now()
                latencies.append(now - begin)
                begin = now
            } while begin < end && failure == nil
        } catch {
            failure = failure ?? "\(error)"
        }
        left -= 1
        if left == 0 { whenDone?.resume() }
    }

    func close() async {
        await pool.close(deadline: .now() + .seconds(5))
    }
}
