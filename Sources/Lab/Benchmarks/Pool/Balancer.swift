package import DispatchLoop
internal import DispatchPostgres
internal import PostgresSession

/// Very many slow queries at once through a pool that grows with them and shrinks when they are done.
@LoopActor
package final class Balancer {
    /// What is asked of the pool.
    package struct Plan: Sendable {
        package var queries = 10_000
        /// What each query takes at the server.
        package var work = Duration.seconds(1)
        package var minimum = 10
        package var maximum = 100
        /// How long a connection that is not needed any more stays.
        package var idleTimeout = Duration.seconds(2)
        /// How often the pool is looked at.
        package var interval = Duration.milliseconds(100)
        /// When what has not been answered is given up.
        package var limit = Duration.seconds(300)

        package init() {}

        /// The least time that it can take.
        package var floor: Duration { work * ((queries + maximum - 1) / maximum) }
    }

    /// The pool at one moment.
    package struct Sample: Sendable {
        /// Since the queries were asked for.
        package let time: Duration
        /// Connections of every kind.
        package let total: Int
        package let leased: Int
        package let waiters: Int
    }

    /// What came of it.
    package struct Report: Sendable {
        /// From the first query asked for to the last answer.
        package fileprivate(set) var time = Duration.zero
        package fileprivate(set) var answered = 0
        package fileprivate(set) var failures: [String] = []
        /// From asking to having all connections.
        package fileprivate(set) var timeToMaximum: Duration?
        /// From the last answer to having the minimum again; nil when that never was.
        package fileprivate(set) var timeToMinimum: Duration?
        package fileprivate(set) var opened = 0
        package fileprivate(set) var closedIdle = 0
        /// Closed for any other reason than that they were idle: lost.
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
        // A query that is silent for as long as it is meant to be is no sign of trouble.
        settings.silenceTimeout = plan.work * 4 + .seconds(10)
        settings.connectTimeout = .seconds(30)
        pool = PostgresPool(
            ConnectionConfiguration(databaseURL), settings: settings, observers: [counter])
    }

    /// Runs the whole of it: fills the pool's queue, waits for the answers, and then for the pool to shrink.
    package func run() async -> Report {
        pool.start()
        await wait { $0.idle >= self.plan.minimum }
        start = .now()
        let deadline = start + plan.limit
        let text = "select pg_sleep(\(Self.seconds(plan.work)))"
        sampleAgain()
        await withCheckedContinuation { continuation in
            whenAnswered = continuation
            for _ in 0..<plan.queries { _ = EventLoop.shared.task { await self.ask(text, deadline) } }
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

    private func ask(_ text: String, _ deadline: MonotonicTime) async {
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

    // MARK: Looking at the pool

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

    /// Looks every millisecond until `condition` holds; `false` when it never did.
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

    /// As SQL reads it.
    private nonisolated static func seconds(_ duration: Duration) -> String {
        let microseconds = duration.nanoseconds / 1000
        let rest = String(microseconds % 1_000_000)
        return "\(microseconds / 1_000_000)." + String(repeating: "0", count: 6 - rest.count) + rest
    }
}

/// Counts what comes and goes.
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
