import DispatchLoop
import PostgresSession
import PostgresTestKit
import Testing

@testable import DispatchPostgres

@LoopActor
@Suite(.timeLimit(.minutes(3))) struct PoolRetryTests {
    @Test("a session killed in mid-query delays an idempotent query, and fails any other")
    func killed() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL(), { $0.silenceTimeout = .seconds(60) }) { pool, recorder in
            for isIdempotent in [true, false] {
                let connection = try await pool.checkOut(deadline: soon)
                defer { pool.release(connection) }
                let pid = try #require(connection.backendProcessID)
                // Sleeps only on the session that will be killed.
                let sql = "select case when pg_backend_pid() = \(pid) then pg_sleep(60) end"
                async let outcome = connection.query(sql, isIdempotent: isIdempotent, deadline: soon)
                try await eventually("the query runs") {
                    try await sandbox.execute("select state from pg_stat_activity where pid = \(pid)") == "active"
                }
                _ = try await sandbox.execute("select pg_terminate_backend(\(pid))")
                if isIdempotent {
                    _ = try await outcome
                    #expect(recorder.retries == 1)
                    #expect(connection.backendProcessID != pid)
                } else {
                    do {
                        _ = try await outcome
                        Issue.record("expected the query to fail")
                    } catch {
                        #expect((error as? PostgresError)?.code == "57P01")
                    }
                    #expect(recorder.retries == 1)
                }
            }
        }
    }

    @Test("an idempotent query whose sessions are terminated one after the other runs again up to five times")
    func killedAgainAndAgain() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            try await withPool(sandbox.connectionURL(), { $0.silenceTimeout = .seconds(60) }) { pool, recorder in
                let connection = try await pool.checkOut(deadline: soon)
                defer { pool.release(connection) }
                async let outcome = connection.query("select pg_sleep(60)", isIdempotent: true, deadline: soon)
                var killed: Set<String> = []
                for turn in 1...6 {
                    var found: String?
                    try await eventually("the query runs for the \(turn). time") {
                        let active = try await sandbox.execute(
                            "select pid from pg_stat_activity where query like 'select pg_sleep%' and state = 'active'")
                        found = active.split(separator: "\n").map(String.init).first { !killed.contains($0) }
                        return found != nil
                    }
                    let pid = try #require(found)
                    killed.insert(pid)
                    _ = try await sandbox.execute("select pg_terminate_backend(\(pid))")
                }
                do {
                    _ = try await outcome
                    Issue.record("expected the query to fail in the end")
                } catch {
                    #expect((error as? PostgresError)?.code == "57P01")
                }
                #expect(recorder.retries == 5)
            }
        }
    }

    @Test("all idle sessions terminated: the next thousand queries succeed")
    func terminatedIdle() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            try await withPool(sandbox.connectionURL(), { $0.minimum = 5 }) { pool, _ in
                try await ping(pool)
                try await eventually("five idle connections") { pool.snapshot.idle == 5 }
                #expect(try await sandbox.terminateSessions() >= 5)
                for _ in 0..<1_000 { try await ping(pool) }
            }
        }
    }

    @Test("a connection that a firewall forgot delays an idempotent query, and does not fail it")
    func forgottenByFirewall() async throws {
        let sandbox = try await SharedSandbox.get()
        let relay = try FaultRelay(to: sandbox.port)
        try await withPool(sandbox.connectionURL(port: relay.port), { $0.minimum = 3 }) { pool, recorder in
            // Unlike a firewall, the relay acknowledges the bytes. The query may then be merely slow, so its hedge
            // needs budget.
            for _ in 0..<200 { try await ping(pool) }
            try await eventually("three idle connections") { pool.snapshot.idle == 3 }
            relay.forgetAll()
            for _ in 0..<20 { try await ping(pool) }
            #expect(!recorder.events.contains { $0.isDown })
        }
        await relay.shutDown()
    }

    @Test("with every connection in use and forgotten, sockets never exceed the maximum")
    func forgottenWhileFull() async throws {
        let sandbox = try await SharedSandbox.get()
        let relay = try FaultRelay(to: sandbox.port)
        try await withPool(
            sandbox.connectionURL(port: relay.port),
            {
                $0.minimum = 4
                $0.maximum = 4
            }
        ) { pool, _ in
            for _ in 0..<200 { try await ping(pool) }
            try await eventually("four idle connections") { pool.snapshot.idle == 4 }
            relay.forgetAll()
            try await withThrowingTaskGroup { group in
                for _ in 0..<40 { group.addTask { try await ping(pool) } }
                try await group.waitForAll()
            }
        }
        await relay.shutDown()
    }

    @Test("the first query may move to another session; a later one stays on its session")
    func pinned() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, recorder in
            let connection = try await pool.checkOut(deadline: soon)
            defer { pool.release(connection) }
            _ = try await connection.query("set search_path to pg_catalog", deadline: soon)
            let pid = try #require(connection.backendProcessID)
            _ = try await sandbox.execute("select pg_terminate_backend(\(pid))")
            await #expect(throws: PostgresError.self) {
                while true { _ = try await connection.query("select 1", isIdempotent: true, deadline: soon) }
            }
            #expect(recorder.retries == 0)
        }
    }
}
