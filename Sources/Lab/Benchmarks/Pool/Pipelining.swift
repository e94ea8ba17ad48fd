package import DispatchLoop
internal import DispatchPostgres
internal import FaultLab
internal import PostgresSession
internal import PostgresTestKit

/// Many callers with small queries that have nothing to do with each other: a connection for each query in its turn
/// (exclusive check-out), beside few connections that have several queries on their way (``PostgresPipeline``).
@LoopActor
package final class Pipelining {
    /// Who asks for how much.
    package struct Plan: Sendable {
        /// Each asks for its next query when it has the answer to the one before.
        package var callers = 64
        package var rounds = 5
        /// Of each load.
        package var seconds = 3.0
        /// Before the first round, for each load.
        package var warmUpSeconds = 0.5
        /// Connections that are checked out in turn.
        package var poolSize = 10
        /// Connections of the pipeline, where it has several but fewer than the pool.
        package var few = 2

        package init() {}
    }

    /// What is asked.
    package enum Query: String, Sendable, CaseIterable {
        case fixed = "select 1"
        case parameter = "select $1::int + 1"

        /// The one value of the right answer to the query with ``parameters(_:)`` of this number.
        fileprivate func answer(_ number: Int) -> String { self == .fixed ? "1" : String(number + 1) }
        fileprivate func parameters(_ number: Int) -> [String?] { self == .fixed ? [] : [String(number)] }
    }

    /// One way to ask, over so many connections.
    package struct Way: Hashable, Sendable {
        package enum Kind: Hashable, Sendable {
            case checkOut
            /// With so many queries on their way on each connection, at most.
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

    /// One way under one query.
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
    ///   - database: the process of the server, whose processor time is looked at.
    ///   - databaseURL: how to log in; connections without TLS.
    package init(_ plan: Plan, database: Int32, databaseURL: String) {
        self.plan = plan
        self.database = database
        self.databaseURL = databaseURL
    }

    /// In the order of the table; the first is what the others are compared with.
    package nonisolated static func ways(_ plan: Plan) -> [Way] {
        // As deep as it takes for every caller's query to be on its way. A pipeline fills one connection before it takes
        // another, so deeper ones would leave some unused.
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

    /// All figures, one for each round: all ways in their turn, then again.
    ///
    /// Throws ``PoolBenchmarkFailure`` when a query failed or was answered wrongly.
    package func run(say: @escaping @Sendable (String) -> Void) async throws -> [Cell: [Measurement]] {
        let ways = Self.ways(plan)
        var asking: [(way: Way, asker: Asker)] = []
        for way in ways { asking.append((way, Asker(way, callers: plan.callers, databaseURL: databaseURL))) }
        var figures: [Cell: [Measurement]] = [:]
        for query in Query.allCases {
            for (_, asker) in asking { _ = try await load(asker, query, seconds: plan.warmUpSeconds) }
        }
        for round in 1...plan.rounds {
            for query in Query.allCases {
                say("round \(round) of \(plan.rounds): \(query.rawValue)")
                for (way, asker) in asking {
                    let measurement = try await load(asker, query, seconds: plan.seconds)
                    figures[Cell(query: query, way: way), default: []].append(measurement)
                }
            }
        }
        for (_, asker) in asking { await asker.close() }
        return figures
    }

    private func load(_ asker: Asker, _ query: Query, seconds: Double) async throws -> Measurement {
        guard let before = ProcessTree(database) else { throw SandboxError(.notRunning, "PostgreSQL has gone") }
        let used = ProcessorTime.nanoseconds
        let begin = MonotonicTime.now()
        await asker.ask(query, for: .milliseconds(Int64(seconds * 1000)))
        let time = MonotonicTime.now() - begin
        let own = Double(ProcessorTime.nanoseconds - used) / 1000
        guard let after = ProcessTree(database) else { throw SandboxError(.notRunning, "PostgreSQL has gone") }
        if let failure = asker.failure { throw PoolBenchmarkFailure(description: failure) }
        let latencies = asker.latencies
        let count = Double(max(latencies.count, 1))
        return Measurement(
            requestsPerSecond: count / (Double(time.nanoseconds) / 1e9),
            p50: Double(latencies.percentile(50).nanoseconds) / 1e6,
            p99: Double(latencies.percentile(99).nanoseconds) / 1e6, processorMicroseconds: own / count,
            databaseMicroseconds: Double(after.processorMicroseconds - before.processorMicroseconds) / count)
    }
}

/// The callers of one way, with a pool of their own.
@LoopActor
private final class Asker {
    private(set) var latencies: [Duration] = []
    /// What went wrong first.
    private(set) var failure: String?

    private let callers: Int
    private let pool: PostgresPool
    /// `nil` where connections are checked out.
    private let pipeline: PostgresPipeline?
    private var left = 0
    private var whenDone: CheckedContinuation<Void, Never>?

    init(_ way: Pipelining.Way, callers: Int, databaseURL: String) {
        self.callers = callers
        var settings = PoolSettings()
        settings.minimum = way.connections
        settings.maximum = way.connections
        settings.maximumWaiters = max(callers, 1)
        // Nothing that happens by time.
        settings.keepalive = nil
        settings.maximumLifetime = nil
        settings.silenceTimeout = .seconds(60)
        pool = PostgresPool(ConnectionConfiguration(databaseURL), settings: settings)
        pipeline =
            switch way.kind {
            case .checkOut: nil
            case .pipeline(let depth):
                PostgresPipeline(pool, maximumSessions: way.connections, depth: depth, maximumWaiting: max(callers, 1))
            }
        pool.start()
    }

    /// Until this time is over, and what was on its way then has been answered.
    func ask(_ query: Pipelining.Query, for time: Duration) async {
        latencies.removeAll(keepingCapacity: true)
        let end = MonotonicTime.now() + time
        left = callers
        await withCheckedContinuation { continuation in
            whenDone = continuation
            // As a service does: on tasks that prefer the loop.
            for number in 0..<callers { _ = EventLoop.shared.task { await self.caller(number, query, until: end) } }
        }
    }

    private func caller(_ number: Int, _ query: Pipelining.Query, until end: MonotonicTime) async {
        let (sql, parameters, answer) = (query.rawValue, query.parameters(number), query.answer(number))
        let deadline = end + .seconds(30)
        var begin = MonotonicTime.now()
        do {
            while begin < end, failure == nil {
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
            }
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
