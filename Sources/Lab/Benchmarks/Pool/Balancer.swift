package import DispatchLoop
internal import DispatchPostgres
internal import PostgresSession

/// Many slow queries at once through a pool that grows with them and shrinks after them.
@LoopActor
package final class Balancer {
    package struct Plan: Sendable {
        package var queries = 10_000
        /// The time of each query at the server.
        package var work = Duration.seconds(1)
        package var minimum = 10
        package var maximum = 100
        package var idleTimeout = Duration.seconds(2)
        /// The interval of the samples.
        package var interval = Duration.milliseconds(100)
        /// The deadline of all queries.
        package var limit = Duration.seconds(300)

        package init() {}

        /// The shortest possible time.
        package var floor: Duration { work * ((queries + maximum - 1) / maximum) }
    }

    /// The pool at one moment.
    package struct Sample: Sendable {
        /// Since the queries began.
        package let time: Duration
        /// Connections of every kind.
        package let total: Int
        package let leased: Int
        package let waiters: Int
    }

    package struct Report: Sendable {
        /// From the first query to the last answer.
        package fileprivate(set) var time = Duration.zero
        package fileprivate(set) var answered = 0
        package fileprivate(set) var failures: [String] = []
        /// From the first query until the pool had its maximum.
        package fileprivate(set) var timeToMaximum: Duration?
        /// From the last answer until the pool had its minimum again; nil if that never happened.
        package fileprivate(set) var timeToMinimum: Duration?
        package fileprivate(set) var opened = 0
        package fileprivate(set) var closedIdle = 0
        /// Connections closed for any reason other than idleness.
        package fileprivate(set) var lost = 0
        package fileprivate(set) var samples: [Sample] = []
    }

    private let plan: Plan
    private let pool: PostgresPool
    private let counter = EventCounter()
    private var report = Report()
    private var start = MonotonicTime.now()
    private var left = 0
    private var whenAnswered: CheckedContinuation<Void, Never>?

    package init(_ plan: Plan, databaseURL: String) {
        self.plan = plan
        left = plan.queries
        var settings = PoolSettings()
        settings.minimum = plan.minimum
        settings.maximum = plan.maximum
        settings.idleTimeout = plan.idleTimeout
        settings.maximumWaiters = max(plan.queries, 1)
        // A query that sleeps must not count as stalled.
        settings.silenceTimeout = plan.work * 4 + .seconds(10)
        settings.connectTimeout = .seconds(30)
        pool = PostgresPool(
            ConnectionConfiguration(databaseURL), settings: settings, observers: [counter])
    }

    /// Sends all queries, waits for the answers, and then until the pool has shrunk.
    package func run() async -> Report {
        pool.start()
        await wait { $0.idle >= self.plan.minimum }
        start = .now()
        let deadline = start + plan.limit
        let text = "select pg_sleep(\(Self.seconds(plan.work)))"
        sampleAgain()
        await withCheckedContinuation { continuation in
            whenAnswered = continuation
            for _ in 0..<plan.queries { _ = EventLoop.shared.task { await self.query(text, deadline) } }
        }
        report.time = .now() - start
        let end = MonotonicTime.now()
        if await wait({ $0.total <= self.plan.minimum }) { report.timeToMinimum = .now() - end }
        takeSample()
        isDone = true
        report.opened = counter.opened
        report.closedIdle = counter.closedIdle
        report.lost = counter.lost
        await pool.close(deadline: .now() + .seconds(5))
        return report
    }

    private func query(_ text: String, _ deadline: MonotonicTime) async {
        do {
            let connection = try await pool.checkOut(deadline: deadline)
            defer { pool.release(connection) }
            let result = try await connection.query(text, deadline: deadline)
            if result.rowCount == 1 { report.answered += 1 }
        } catch {
            if report.failures.count < 5 { report.failures.append("\(error)") }
        }
        left -= 1
        if left == 0 { whenAnswered?.resume() }
    }

    // MARK: Sampling

    private var isDone = false

    private func sampleAgain() {
        takeSample()
        guard !isDone else { return }
        _ = EventLoop.shared.schedule(at: .now() + plan.interval) { self.sampleAgain() }
    }

    private func takeSample() {
        let snapshot = pool.snapshot
        let time = MonotonicTime.now() - start
        report.samples.append(
            Sample(time: time, total: snapshot.total, leased: snapshot.leased, waiters: snapshot.waiters))
        if report.timeToMaximum == nil, snapshot.leased + snapshot.idle >= plan.maximum { report.timeToMaximum = time }
    }

    /// Polls every millisecond until `condition` holds. False if it did not in time.
    @discardableResult
    private func wait(_ condition: @escaping @LoopActor (PoolSnapshot) -> Bool) async -> Bool {
        let deadline = MonotonicTime.now() + plan.idleTimeout + .seconds(60)
        while !condition(pool.snapshot) {
            if MonotonicTime.now() >= deadline { return false }
            await withCheckedContinuation { continuation in
                _ = EventLoop.shared.schedule(at: .now() + .milliseconds(1)) { continuation.resume() }
            }
        }
        return true
    }

    /// A number of seconds for SQL.
    private nonisolated static func seconds(_ duration: Duration) -> String {
        let microseconds = duration.nanoseconds / 1000
        let rest = String(microseconds % 1_000_000)
        return "\(microseconds / 1_000_000)." + String(repeating: "0", count: 6 - rest.count) + rest
    }
}

/// Counts opened and closed connections.
@LoopActor
private final class EventCounter: PoolObserver {
    var opened = 0
    var closedIdle = 0
    var lost = 0

    func pool(_ pool: PostgresPool, did event: PoolEvent) {
        switch event {
        case .connected: opened += 1
        case .closed(_, .idleTimeout, _): closedIdle += 1
        case .closed: lost += 1
        default: break
        }
    }
}
