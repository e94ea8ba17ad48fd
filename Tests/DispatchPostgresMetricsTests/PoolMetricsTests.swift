import CoreMetrics
import DispatchLoop
import MetricDescriptions
import MetricsTestKit
import PostgresSession
import PostgresTestKit
import Testing

@testable import DispatchPostgres
@testable import DispatchPostgresMetrics

/// Sends the events of an outage to the metrics, without a database.
@LoopActor
@Suite struct PoolMetricsTests {
    private let backend = TestMetrics()
    private let pool = PostgresPool(ConnectionConfiguration("postgres://admin@127.0.0.1:1/mydb"))
    private let metrics: PoolMetrics
    private let start = MonotonicTime.now()

    init() {
        metrics = PoolMetrics(name: "p", prefix: "daruma.db", factory: backend)
        metrics.watch(pool)
    }

    private func move(_ from: DatabaseState, _ to: DatabaseState, at seconds: Double, outageSince since: Double?) {
        let outage = since.map { Outage(since: start + .seconds($0), cause: .refused) }
        metrics.pool(pool, did: .healthChanged(from: from, to: to, outage: outage, at: start + .seconds(seconds)))
    }

    private func counter(_ label: String, _ more: (String, String)...) throws -> Int64 {
        try backend.expectCounter(label, [("db.client.connection.pool.name", "p")] + more).totalValue
    }

    private func gauge(_ label: String, _ more: (String, String)...) throws -> Double? {
        try backend.expectGauge(label, [("db.client.connection.pool.name", "p")] + more).lastValue
    }

    private func timer(_ label: String, _ more: (String, String)...) throws -> [Int64] {
        try backend.expectTimer(label, [("db.client.connection.pool.name", "p")] + more).values
    }

    @Test("an outage counts once, from its first sign, through all its states, and its end is a recovery")
    func outage() throws {
        move(.suspect, .up, at: 0.1, outageSince: 0)
        #expect(try gauge("daruma.db.up") == 1)
        move(.up, .suspect, at: 1, outageSince: 1)
        #expect(try gauge("daruma.db.up") == 1, "requests still wait")
        move(.suspect, .down, at: 2, outageSince: 1)
        #expect(try gauge("daruma.db.up") == 0)
        #expect(try gauge("daruma.db.state", ("state", "down")) == 1)
        move(.down, .misconfigured, at: 3, outageSince: 1)
        #expect(try gauge("daruma.db.state", ("state", "down")) == 0)
        #expect(try gauge("daruma.db.state", ("state", "misconfigured")) == 1)
        move(.misconfigured, .up, at: 6, outageSince: 1)
        #expect(try gauge("daruma.db.up") == 1)
        #expect(try counter("daruma.db.outages") == 1)
        #expect(try counter("daruma.db.suspicions") == 1)
        #expect(try counter("daruma.db.outage") == 5)
        #expect(try timer("daruma.db.recovery_time") == [5_000_000_000])
    }

    @Test("a short suspicion is no outage")
    func hidden() throws {
        move(.suspect, .up, at: 0.1, outageSince: 0)
        move(.up, .suspect, at: 1, outageSince: 1)
        move(.suspect, .up, at: 1.5, outageSince: 1)
        #expect(try counter("daruma.db.suspicions") == 1)
        #expect(try counter("daruma.db.outages") == 0)
        #expect(try counter("daruma.db.outage") == 0)
        #expect(try timer("daruma.db.recovery_time") == [])
    }

    @Test("the current outage counts with each refresh, and not twice at its end")
    func runningOutage() throws {
        let since = -10.0
        move(.suspect, .down, at: 0, outageSince: since)
        metrics.refresh()
        #expect(try counter("daruma.db.outage") >= 10)
        let end = MonotonicTime.now() + .seconds(10)
        metrics.pool(
            pool,
            did: .healthChanged(
                from: .down, to: .up, outage: Outage(since: start + .seconds(since), cause: .refused), at: end))
        let total = try Double(counter("daruma.db.outage"))
        #expect(total == (Double((end - start).nanoseconds) / 1e9 - since).rounded(.down))
        metrics.refresh()
        #expect(try Double(counter("daruma.db.outage")) == total)
    }

    @Test("connects count by outcome and reason, ends and retries by reason")
    func events() throws {
        let id = ConnectionID(index: 0, serial: 0)
        metrics.pool(pool, did: .connected(id))
        metrics.pool(pool, did: .connectFailed(.refused))
        metrics.pool(pool, did: .closed(id, .hung, nil))
        metrics.pool(pool, did: .closed(id, .lifetime, nil))
        metrics.pool(pool, did: .retried(.refused))
        let attempts = "daruma.db.connect_attempts"
        #expect(try counter(attempts, ("outcome", "success"), ("reason", "")) == 1)
        #expect(try counter(attempts, ("outcome", "failure"), ("reason", "ECONNREFUSED")) == 1)
        #expect(try counter(attempts, ("outcome", "abandoned"), ("reason", "hung")) == 1)
        #expect(try counter("daruma.db.connections_closed", ("reason", "lifetime")) == 1)
        #expect(try counter("daruma.db.query_retries", ("reason", "ECONNREFUSED")) == 1)
    }

    @Test("measurements go to the instruments of the conventions")
    func measurements() throws {
        metrics.pool(pool, measured: .checkedOut(waitNanoseconds: 2_000_000))
        metrics.pool(pool, measured: .returned(useNanoseconds: 3_000_000))
        metrics.pool(pool, measured: .opened(nanoseconds: 4_000_000))
        metrics.pool(pool, measured: .timedOut)
        metrics.pool(pool, measured: .refused(.saturated))
        metrics.pool(pool, measured: .queried(nanoseconds: 5_000_000, errorCode: nil, wasSaved: true))
        metrics.pool(pool, measured: .queried(nanoseconds: 6_000_000, errorCode: "57014", wasSaved: false))
        #expect(try timer("db.client.connection.wait_time") == [2_000_000])
        #expect(try timer("db.client.connection.use_time") == [3_000_000])
        #expect(try timer("db.client.connection.create_time") == [4_000_000])
        #expect(try counter("db.client.connection.timeouts") == 1)
        #expect(try counter("daruma.db.checkouts_refused", ("reason", "saturated")) == 1)
        let system = ("db.system.name", "postgresql")
        #expect(try timer("db.client.operation.duration", system) == [5_000_000])
        #expect(try timer("db.client.operation.duration", system, ("error.type", "57014")) == [6_000_000])
        #expect(try counter("daruma.db.query_retries_saved") == 1)
    }

    @Test("the number of series for error codes is bounded")
    func boundedCodes() {
        for number in 0..<5_000 {
            let code = "X\(number)"
            metrics.pool(pool, measured: .queried(nanoseconds: 0, errorCode: code, wasSaved: false))
            metrics.pool(
                pool, did: .connectFailed(PostgresError(code: code, message: "", disposition: .outage)))
        }
        #expect(backend.timers(label: "db.client.operation.duration").count <= 110)
        #expect(backend.counters(label: "daruma.db.connect_attempts").count <= 110)
    }

    @Test("every metric has a description and a unique name")
    func described() {
        let labels = PoolMetrics.descriptions(prefix: "daruma.db").map(\.label)
        #expect(Set(labels).count == labels.count)
        #expect(PoolMetrics.descriptions().allSatisfy { !$0.help.isEmpty })
        let made = Set(backend.counters.map(\.label) + backend.recorders.map(\.label) + backend.timers.map(\.label))
        #expect(made == Set(labels))
    }
}

/// The metrics of a pool with a database.
@LoopActor
@Suite(.timeLimit(.minutes(2))) struct PoolMetricsOnDatabaseTests {
    private let backend = TestMetrics()

    private func values(_ label: String) -> [Int64] { backend.timers(label: label).flatMap(\.values) }

    @Test("queries, waits and connections of a real pool are measured, once each")
    func real() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            var settings = PoolSettings()
            settings.maximum = 1
            settings.outageGrace = .seconds(20)
            let metrics = PoolMetrics(factory: backend)
            let pool = PostgresPool(
                ConnectionConfiguration(sandbox.connectionURL()), settings: settings, observers: [metrics])
            metrics.watch(pool)
            pool.start()
            let soon = MonotonicTime.now() + .seconds(20)
            let first = try await pool.checkOut(deadline: soon)
            _ = try await first.query("select 1", deadline: soon)
            // One request waits, and one times out.
            await #expect(throws: PoolError.self) { try await pool.checkOut(deadline: .now() + .milliseconds(20)) }
            async let second = pool.checkOut(deadline: soon)
            try await eventually("a waiter") { pool.snapshot.waiters == 1 }
            metrics.refresh()
            #expect(backend.recorders(label: "db.client.connection.pending_requests").first?.lastValue == 1)
            pool.release(first)
            let connection = try await second
            let backendID = try #require(connection.backendProcessID)
            try await sandbox.execute("select pg_terminate_backend(\(backendID))")
            _ = try await connection.query("select 1", isIdempotent: true, deadline: soon)
            pool.release(connection)
            #expect(values("db.client.connection.create_time").count >= 2)
            #expect(values("db.client.connection.create_time").allSatisfy { $0 > 0 })
            #expect(backend.counterTotal(label: "db.client.connection.timeouts") == 1)
            #expect(values("db.client.connection.wait_time").contains { $0 > 0 })
            #expect(values("db.client.operation.duration").count == 2)
            #expect(values("db.client.connection.use_time").count >= 2)
            metrics.refresh()
            let age =
                WallClock.now().seconds
                - Int(backend.recorders(label: "db.pool.last_success.timestamp").first?.lastValue ?? 0)
            #expect((-1...60).contains(age))
            await pool.close(deadline: .now() + .seconds(5))
        }
    }
}

extension PostgresError {
    fileprivate static let refused = PostgresError(
        code: Code.refused, message: "connection refused", disposition: .outage)
}
