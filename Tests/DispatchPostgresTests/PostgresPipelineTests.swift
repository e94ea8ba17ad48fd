import DispatchLoop
import PostgresSession
import PostgresTestKit
import Testing

@testable import DispatchPostgres

@LoopActor
@Suite(.timeLimit(.minutes(2))) struct PostgresPipelineTests {
    @Test("many statements share few connections, and each gets its own result", arguments: [false, true])
    func ownAnswers(isPrepared: Bool) async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, _ in
            let pipeline = PostgresPipeline(pool, maximumSessions: 2, depth: 16)
            let tasks = (0..<500).map { number in
                Task {
                    try await pipeline.query(
                        "select $1::int * 2", parameters: ["\(number)"], isPrepared: isPrepared, deadline: soon)
                }
            }
            for (number, task) in tasks.enumerated() {
                let result = try await task.value
                #expect(result.values == ["\(number * 2)"])
            }
            #expect(pool.snapshot.total <= 2)
            try await eventually("the connections are released") { pool.snapshot.leased == 0 }
            try await ping(pool)
        }
    }

    @Test("a statement fails alone, and earlier ones stay committed")
    func ownFailures() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, _ in
            let pipeline = PostgresPipeline(pool, maximumSessions: 1)
            _ = try await pipeline.query("drop table if exists pipelined", deadline: soon)
            _ = try await pipeline.query("create table pipelined (n int)", deadline: soon)
            let tasks = (0..<100).map { number in
                let sql = number % 3 == 0 ? "select 1 / 0" : "insert into pipelined values (\(number))"
                return Task { await failure { _ = try await pipeline.query(sql, deadline: soon) } }
            }
            for (number, task) in tasks.enumerated() {
                let failure = await task.value
                #expect(failure?.code == (number % 3 == 0 ? "22012" : nil))
            }
            let count = try await pipeline.query("select count(*) from pipelined", deadline: soon)
            #expect(count.values == ["66"])
            _ = try await pipeline.query("drop table pipelined", deadline: soon)
        }
    }

    @Test("a statement that cannot be sent fails alone")
    func unsendable() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, recorder in
            let pipeline = PostgresPipeline(pool, maximumSessions: 1)
            async let slow = pipeline.query("select pg_sleep(0.2)", deadline: soon)
            try await eventually("the first is sent") { pipeline.flightCount == 1 }
            let error = await failure {
                _ = try await pipeline.query(
                    "select $1::int", parameters: [String?](repeating: "1", count: 65_536), isPrepared: true,
                    deadline: soon)
            }
            #expect(error?.code == PostgresError.Code.tooManyParameters)
            _ = try await slow
            #expect(pool.snapshot.health == .up)
            #expect(recorder.retries == 0)
        }
    }

    @Test("idempotent statements of a dead connection run on another one; only the rest fails")
    func deadConnection() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, _ in
            let pipeline = PostgresPipeline(pool, maximumSessions: 1)
            // The first statement delays those behind it until its session is terminated.
            async let victim = failure {
                _ = try await pipeline.query("select pg_sleep(60), 'pipeline victim'", deadline: soon)
            }
            try await eventually("the first is sent") { pipeline.flightCount == 1 }
            async let unsafe = failure { _ = try await pipeline.query("select 'unsafe'", deadline: soon) }
            async let safe = pipeline.query("select 'safe'", isIdempotent: true, deadline: soon)
            try await eventually("all are sent") { pipeline.flightCount == 3 }
            try await eventually("the statement runs") {
                try await sandbox.execute(
                    """
                    select pg_terminate_backend(pid) from pg_stat_activity
                    where query like '%pipeline victim%' and state = 'active' and pid <> pg_backend_pid()
                    """
                ).contains("t")
            }
            #expect(await victim?.code == "57P01")
            #expect(await unsafe?.code == "57P01")
            #expect(try await safe.values == ["safe"])
        }
    }

    @Test("unsent statements of a dead connection run on another one, though they are not idempotent")
    func neverSent() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, _ in
            let pipeline = PostgresPipeline(pool, maximumSessions: 1)
            async let victim = failure { _ = try await pipeline.query("select pg_sleep(60)", deadline: soon) }
            try await eventually("the first is sent") { pipeline.flightCount == 1 }
            var values: [String?] = []
            // The task runs until it waits. Its statement would be sent at the end of the round, and the connection
            // ends earlier.
            let task = EventLoop.shared.task {
                let answer = try? await pipeline.query("select 'unsent'", deadline: soon)
                values = answer?.values ?? []
            }
            for connection in pool.connections { connection?.close() }
            await task.value
            #expect(values == ["unsent"])
            #expect(await victim?.code == PostgresError.Code.closed)
        }
    }

    @Test("an overdue result fails its own statement and closes the session; those behind it are sent again")
    func overdue() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, _ in
            let pipeline = PostgresPipeline(pool, maximumSessions: 1)
            // Connects first: on a busy machine the connect alone may exceed the 200 ms below.
            _ = try await pipeline.query("select 1", deadline: soon)
            async let slow = failure {
                _ = try await pipeline.query("select pg_sleep(60)", deadline: .now() + .milliseconds(200))
            }
            try await eventually("the first is sent") { pipeline.flightCount == 1 }
            async let behind = pipeline.query("select 'behind'", isIdempotent: true, deadline: soon)
            #expect(await slow?.code == PostgresError.Code.queryTimeout)
            let answer = try await behind
            #expect(answer.values == ["behind"])
        }
    }

    @Test("a statement that opens a transaction is refused, and nothing runs inside it")
    func transaction() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, _ in
            let pipeline = PostgresPipeline(pool, maximumSessions: 1)
            let refused = await failure { _ = try await pipeline.query("begin", deadline: soon) }
            #expect(refused?.code == "25001")
            let answer = try await pipeline.query("select 1", deadline: soon)
            #expect(answer.values == ["1"])
        }
    }

    @Test("a statement behind one that opens a transaction is not reported as done and then rolled back")
    func transactionInFront() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, _ in
            let pipeline = PostgresPipeline(pool, maximumSessions: 1)
            _ = try await pipeline.query("drop table if exists behind_begin", deadline: soon)
            _ = try await pipeline.query("create table behind_begin (n int)", deadline: soon)
            let statements = ["begin", "insert into behind_begin values (1)", "insert into behind_begin values (2)"]
            let tasks = statements.map { sql in
                Task { await failure { _ = try await pipeline.query(sql, deadline: soon) } }
            }
            var failures: [PostgresError?] = []
            for task in tasks { failures.append(await task.value) }
            #expect(failures[0]?.code == "25001")
            let done = failures.dropFirst().count { $0 == nil }
            let count = try await pipeline.query("select count(*) from behind_begin", deadline: soon)
            #expect(count.values == ["\(done)"], "\(done) were reported as done")
            _ = try await pipeline.query("drop table behind_begin", deadline: soon)
        }
    }

    @Test("a dropped pipeline leaves no connection behind")
    func dropped() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, _ in
            var pipeline: PostgresPipeline? = PostgresPipeline(pool, maximumSessions: 1)
            let task = Task { [pipeline] in
                try await pipeline?.query("select pg_sleep(0.2)", deadline: soon)
            }
            try await eventually("it is sent") { pipeline?.flightCount == 1 }
            task.cancel()
            _ = await task.result
            pipeline = nil
            try await eventually("the connection is free") { pool.snapshot.leased == 0 }
            try await ping(pool)
        }
    }

    @Test("statements that the session has lost are prepared again transparently")
    func preparedAgain() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, _ in
            let pipeline = PostgresPipeline(pool, maximumSessions: 1)
            for _ in 0..<4 {
                let result = try await pipeline.query("select 'p'", isPrepared: true, deadline: soon)
                #expect(result.values == ["p"])
                _ = try await pipeline.query("deallocate all", deadline: soon)
            }
            let broken = await failure {
                _ = try await pipeline.query("select from where", isPrepared: true, deadline: soon)
            }
            #expect(broken?.code == "42601")
        }
    }

    @Test("a cancelled task returns at once, and the connection serves the others")
    func cancelled() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withPool(sandbox.connectionURL()) { pool, _ in
            let pipeline = PostgresPipeline(pool, maximumSessions: 1)
            let task = Task { try await pipeline.query("select pg_sleep(0.3)", deadline: soon) }
            try await eventually("it is sent") { pool.snapshot.leased == 1 }
            task.cancel()
            let error = await #expect(throws: PoolError.self) { try await task.value }
            #expect(error?.kind == .cancelled)
            #expect(try await pipeline.query("select 2", deadline: soon).values == ["2"])
        }
    }

    @Test("without a database, statements fail as a check-out would")
    func unavailable() async throws {
        try await withPool("postgres://nobody@127.0.0.1:1/none", { $0.outageGrace = .milliseconds(20) }) { pool, _ in
            let pipeline = PostgresPipeline(pool)
            let error = await #expect(throws: PoolError.self) { try await pipeline.query("select 1", deadline: soon) }
            #expect(error?.kind == .unavailable)
            #expect(error?.cause?.code == PostgresError.Code.refused)
        }
    }
}

/// The PostgresError that `body` throws, if it does.
@LoopActor
private func failure(_ body: @LoopActor () async throws -> Void) async -> PostgresError? {
    do {
        try await body()
        return nil
    } catch let error as PostgresError {
        return error
    } catch {
        Issue.record("expected a PostgresError, got \(error)")
        return nil
    }
}
