import CLinux
import DispatchLoop
import Glibc
import PostgresSession
import PostgresTestKit
import Testing

@testable import DispatchPostgres

@LoopActor
@Suite(.timeLimit(.minutes(3))) struct PostgresPoolTests {
    @Test("a hundred tasks share three connections, and all are served")
    func shared() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL(), { $0.maximum = 3 }) { pool, _ in
            try await withThrowingTaskGroup { group in
                for _ in 0..<100 { group.addTask { try await ping(pool) } }
                try await group.waitForAll()
            }
            #expect(pool.snapshot.total <= 3)
            #expect(pool.snapshot.leased == 0)
        }
    }

    @Test("a forgotten lease returns by itself")
    func forgotten() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL(), { $0.maximum = 1 }) { pool, _ in
            _ = try await pool.checkOut(deadline: soon)
            try await ping(pool)
        }
    }

    @Test("releasing twice does no harm, and a released lease cannot be used")
    func releasedTwice() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, _ in
            let connection = try await pool.checkOut(deadline: soon)
            pool.release(connection)
            pool.release(connection)
            #expect(pool.snapshot.idle == 1)
            await #expect(throws: PostgresError.self) { try await connection.query("select 1", deadline: soon) }
        }
    }

    @Test("an open transaction is rolled back before the next lease")
    func rollback() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL(), { $0.maximum = 1 }) { pool, _ in
            try await pool.withConnection(deadline: soon) { connection in
                _ = try await connection.query("begin; create temporary table t (i int)", deadline: soon)
            }
            try await pool.withConnection(deadline: soon) { connection in
                let result = try await connection.query("select to_regclass('t') is null", deadline: soon)
                #expect(result.values == ["t"])
            }
        }
    }

    @Test("a cancelled waiter leaves; the connection goes to the next")
    func cancelledWaiter() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL(), { $0.maximum = 1 }) { pool, _ in
            let lease = try await pool.checkOut(deadline: soon)
            let waiting = Task { try await pool.checkOut(deadline: soon) }
            try await eventually("a waiter") { pool.snapshot.waiters == 1 }
            waiting.cancel()
            let error = await #expect(throws: PoolError.self) { try await waiting.value }
            #expect(error?.kind == .cancelled)
            pool.release(lease)
            try await ping(pool)
        }
    }

    @Test("when all connections are in use until the deadline, the pool is saturated, not down")
    func saturated() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL(), { $0.maximum = 1 }) { pool, _ in
            let lease = try await pool.checkOut(deadline: soon)
            defer { pool.release(lease) }
            async let slow = lease.query("select pg_sleep(0.5)", deadline: soon)
            let error = await #expect(throws: PoolError.self) {
                try await pool.checkOut(deadline: .now() + .milliseconds(400))
            }
            #expect(error?.kind == .saturated)
            #expect(pool.snapshot.health == .up)
            _ = try await slow
        }
    }

    @Test("a statement that cannot be sent fails alone: the lease keeps its connection, and the pool stays up")
    func unsendable() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, recorder in
            let connection = try await pool.checkOut(deadline: soon)
            let session = connection.backendProcessID
            let error = await #expect(throws: PostgresError.self) {
                try await connection.query(
                    "select $1::int", parameters: [String?](repeating: "1", count: 65_536), isIdempotent: true,
                    deadline: soon)
            }
            #expect(error?.code == PostgresError.Code.tooManyParameters)
            #expect(connection.backendProcessID == session)
            #expect(
                try await connection.query("select pg_backend_pid()", deadline: soon).values == [
                    session.map { "\($0)" }
                ])
            pool.release(connection)
            #expect(pool.snapshot.health == .up)
            #expect(recorder.retries == 0)
        }
    }

    @Test("a pool that was never started refuses check-outs at once")
    func neverStarted() async throws {
        let pool = PostgresPool(ConnectionConfiguration("postgres://localhost"), settings: PoolSettings())
        let error = await #expect(throws: PoolError.self) { try await pool.checkOut(deadline: soon) }
        #expect(error?.code == "POOL_NOT_STARTED")
    }

    @Test("a lease released during its query returns when the query has ended, and cannot be used afterwards")
    func releasedWhileQuerying() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL(), { $0.maximum = 1 }) { pool, _ in
            let connection = try await pool.checkOut(deadline: soon)
            let query = Task { try await connection.query("select pg_sleep(0.2)", deadline: soon) }
            try await eventually("the query runs") { connection.backendProcessID == nil }
            pool.release(connection)
            _ = try await query.value
            try await ping(pool)
            let error = await #expect(throws: PostgresError.self) {
                try await connection.query("select 1", deadline: soon)
            }
            #expect(error?.code == PostgresError.Code.closed)
        }
    }

    @Test("a second query at the same time fails as busy, and does not disturb the first")
    func twoQueries() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, _ in
            let connection = try await pool.checkOut(deadline: soon)
            defer { pool.release(connection) }
            async let first = connection.query("select pg_sleep(0.2)", deadline: soon)
            try await eventually("the query runs") { connection.backendProcessID == nil }
            let error = await #expect(throws: PostgresError.self) {
                try await connection.query("select 1", deadline: soon)
            }
            #expect(error?.code == PostgresError.Code.busy)
            _ = try await first
        }
    }

    @Test("after a session is lost in a transaction, queries throw the cause")
    func lossIsKept() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, _ in
            let connection = try await pool.checkOut(deadline: soon)
            defer { pool.release(connection) }
            _ = try await connection.query("begin", deadline: soon)
            let pid = try #require(connection.backendProcessID)
            _ = try await sandbox.execute("select pg_terminate_backend(\(pid))")
            for _ in 0..<3 {
                let error = await #expect(throws: PostgresError.self) {
                    while true { _ = try await connection.query("select 1", deadline: soon) }
                }
                #expect(error?.code == "57P01")
            }
        }
    }

    @Test("a cancelled query's connection is reset and reused")
    func cancelledQuery() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL(), { $0.maximum = 1 }) { pool, recorder in
            let connection = try await pool.checkOut(deadline: soon)
            let task = Task { try await connection.query("select pg_sleep(0.8)", deadline: soon) }
            try await eventually("the query runs") { connection.backendProcessID == nil }
            task.cancel()
            await #expect(throws: (any Error).self) { try await task.value }
            pool.release(connection)
            try await ping(pool)
            // On a busy machine the pool may also close superfluous connects. It must not close this connection.
            #expect(Set(recorder.reasons).isSubset(of: [.hung, .overtaken]))
        }
    }

    @Test("closing waits for leased connections, refuses new requests, and leaves no session")
    func close() async throws {
        let sandbox = try await SharedSandbox.get()
        let url = sandbox.connectionURL(parameters: ["application_name": "closing"])
        var settings = PoolSettings()
        settings.outageGrace = .seconds(20)
        let pool = PostgresPool(ConnectionConfiguration(url), settings: settings)
        pool.start()
        let lease = try await pool.checkOut(deadline: soon)
        async let closed: Void = pool.close(deadline: soon)
        try await eventually("draining") { pool.snapshot.health == .draining }
        let error = await #expect(throws: PoolError.self) { try await pool.checkOut(deadline: soon) }
        #expect(error?.kind == .closed)
        _ = try await lease.query("select 1", deadline: soon)
        pool.release(lease)
        await closed
        let sessions = "select count(*) from pg_stat_activity where application_name = 'closing'"
        try await eventually("no session is left") { try await sandbox.execute(sessions) == "0" }
    }

    @Test("in a forked process the pool refuses to work")
    func forked() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, _ in
            try await ping(pool)
            let child = clinux_fork()
            if child == 0 {
                var kind: PoolError.Kind?
                _ = pool.request(deadline: soon) { if case .failure(let error) = $0 { kind = error.kind } }
                _exit(kind == .wrongProcess ? 0 : 1)
            }
            var status: Int32 = -1
            waitpid(child, &status, 0)
            #expect(status == 0)
            try await ping(pool)
        }
    }

    @Test("a check-out from within an event does not overtake a waiter")
    func asksFromWithinAnEvent() async throws {
        let sandbox = try await SharedSandbox.get()
        var settings = PoolSettings()
        settings.maximum = 1
        settings.outageGrace = .seconds(20)
        let eager = EagerObserver()
        let pool = PostgresPool(
            ConnectionConfiguration(sandbox.connectionURL()), settings: settings, observers: [eager])
        pool.start()
        // Starts in this round of the event loop, long before a connect can succeed.
        try await ping(pool)
        try await eventually("the eager observer has been served as well") { eager.served == 1 }
        #expect(pool.snapshot.leased == 0)
        await pool.close(deadline: soon)
    }
}

/// Checks out a connection as soon as the pool reports the database as up.
@LoopActor
private final class EagerObserver: PoolObserver {
    private(set) var served = 0

    func pool(_ pool: PostgresPool, did event: PoolEvent) {
        guard event.isUp else { return }
        _ = EventLoop.shared.task { [self] in
            if (try? await ping(pool)) != nil { served += 1 }
        }
    }
}
