import DispatchLoop
import PostgresTestKit
import Testing

@testable import PostgresClient

@Suite(.timeLimit(.minutes(2))) struct ClientLifecycleTests {
    private func client(_ change: (inout PostgresClient.Settings) -> Void = { _ in }) async throws -> PostgresClient {
        var settings = PostgresClient.Settings()
        change(&settings)
        return PostgresClient(
            ConnectionConfiguration(try await SharedSandbox.get().connectionURL()), settings: settings)
    }

    @Test("a statement before the start waits for it")
    func beforeStart() async throws {
        let client = try await client()
        async let value = client.query("select 7", timeout: .seconds(30)).decodeOne(Int.self)
        async let leased = client.withConnection(timeout: .seconds(30)) { connection in
            try await connection.query("select 8").decodeOne(Int.self)
        }
        try await eventually("both wait") { await client.core.waitingForStart == 2 }
        let run = Task { await client.run() }
        #expect(try await value == 7)
        #expect(try await leased == 8)
        run.cancel()
        await run.value
    }

    @Test("without a start, a statement fails at its timeout, and a cancelled one at once")
    func neverStarted() async throws {
        let client = try await client()
        let late = await #expect(throws: PostgresClientError.self) {
            try await client.query("select 1", timeout: .milliseconds(20))
        }
        #expect(late?.refusal?.kind == .notStarted)
        #expect(late?.isSafeToRetry == true)
        let past = await #expect(throws: PostgresClientError.self) {
            try await client.query("select 1", deadline: .now - .seconds(1))
        }
        #expect(past?.kind == .unavailable)
        let task = Task { try await client.query("select 1", timeout: .seconds(600)) }
        try await eventually("it waits") { await client.core.waitingForStart == 1 }
        task.cancel()
        let error = await #expect(throws: PostgresClientError.self) { try await task.value }
        #expect(error?.kind == .cancelled)
        let stopped = Task { try await client.query("select 1", timeout: .seconds(600)) }
        try await eventually("it waits") { await client.core.waitingForStart == 1 }
        await client.shutDown()
        let closed = await #expect(throws: PostgresClientError.self) { try await stopped.value }
        #expect(closed?.refusal?.kind == .closed)
        await client.run()
    }

    @Test("cancelling ends run() when the connections in use are back; later statements are refused")
    func cancelled() async throws {
        let client = try await client()
        let run = Task { await client.run() }
        let isLeased = Latch()
        let mayEnd = Latch()
        let lease = Task {
            try await client.withConnection { connection in
                await isLeased.open()
                await mayEnd.wait()
                return try await connection.query("select 7").decodeOne(Int.self)
            }
        }
        await isLeased.wait()
        run.cancel()
        try await eventually("draining") { await client.databaseState == .draining }
        let error = await #expect(throws: PostgresClientError.self) { try await client.query("select 1") }
        #expect(error?.refusal?.kind == .closed)
        await mayEnd.open()
        #expect(try await lease.value == 7)
        await run.value
        #expect(await client.databaseState == .closed)
    }

    @Test("run() may be called by several tasks; all return at the end")
    func severalRuns() async throws {
        let client = try await client()
        await withTaskGroup { group in
            for _ in 0..<3 { group.addTask { await client.run() } }
            _ = try? await client.query("select 1")
            group.cancelAll()
        }
        #expect(await client.databaseState == .closed)
    }

    @Test("a connection that is still leased after the grace is closed")
    func grace() async throws {
        let client = try await client { $0.shutdownGrace = .milliseconds(20) }
        let run = Task { await client.run() }
        let error = await #expect(throws: PostgresClientError.self) {
            try await client.withConnection { connection in
                _ = try await connection.query("select 1")
                run.cancel()
                await run.value
                _ = try await connection.query("select 1")
            }
        }
        #expect(error?.kind == .connectionLost)
    }

    @Test("a server that stops and starts beneath a running client is a delay for idempotent statements")
    func restart() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            try await withClient(sandbox.connectionURL()) { client in
                let isDone = Latch()
                let load = Task {
                    var count = 0
                    while !Task.isCancelled {
                        let read = try await client.query("select \(count)", isIdempotent: true).decodeOne(Int.self)
                        #expect(read == count)
                        count += 1
                        if count == 10 { await isDone.open() }
                    }
                    return count
                }
                await isDone.wait()
                try await sandbox.stop(.immediate)
                try await sandbox.start()
                #expect(try await client.query("select 7", isIdempotent: true).decodeOne(Int.self) == 7)
                load.cancel()
                do { _ = try await load.value } catch let error as PostgresClientError {
                    #expect(error.kind == .cancelled)
                }
            }
        }
    }

    @Test("during an outage statements fail at once, and it is safe to try again")
    func outage() async throws {
        let sandbox = try await PostgresSandbox.make()
        try await withClient(sandbox.connectionURL(), { $0.pool.outageGrace = .milliseconds(20) }) { client in
            try await eventually("down") { await client.databaseState == .down }
            let error = await #expect(throws: PostgresClientError.self) { try await client.query("select 1") }
            #expect(error?.kind == .unavailable)
            #expect(error?.isSafeToRetry == true)
            #expect(error?.cause?.code == PostgresError.Code.refused)
            try await sandbox.start()
            try await eventually("up") { await client.databaseState == .up }
            #expect(try await client.query("select 7").decodeOne(Int.self) == 7)
        }
        try await sandbox.remove()
    }

    @Test("a lease that lasts for long is told of once, with its place; others are not")
    func longLease() async throws {
        let told = Locked<[PostgresClient.LongLease]>([])
        let isTold = Latch()
        try await withSharedClient({
            $0.leaseWarning = .milliseconds(30)
            $0.onLongLease = { lease in
                told.withLock { $0.append(lease) }
                Task { await isTold.open() }
            }
        }) { client in
            let line: UInt = #line + 1
            try await client.withConnection { connection in
                let pid = try await connection.query("select pg_backend_pid()").decodeOne(Int32.self)
                await isTold.wait()
                let leases = told.withLock { $0 }
                #expect(leases.map(\.line) == [line])
                #expect(leases.first?.file == "PostgresClientTests/ClientLifecycleTests.swift")
                #expect(leases.first?.backendProcessID == pid)
                #expect(leases.first.map { $0.duration >= .milliseconds(30) } == true)
            }
        }
        #expect(told.withLock { $0.count } == 1)
    }

    @Test("a connection and a transaction end with their closure")
    func afterScope() async throws {
        try await withSharedClient { client in
            let lease = try await client.withConnection { $0 }
            let transaction = try await client.withTransaction { $0 }
            try await client.withConnection { connection in
                let inner = try await connection.withTransaction { $0 }
                for use in [
                    { _ = try await lease.query("select 1") }, { try await lease.withTransaction { _ in } },
                    { _ = try await transaction.query("select 1") }, { _ = try await inner.query("select 1") },
                    { try await inner.withSavepoint { _ in } },
                ] as [() async throws -> Void] {
                    let error = await #expect(throws: PostgresClientError.self) { try await use() }
                    #expect(error?.kind == .misuse)
                    #expect(error.map { "\($0)".contains("after its closure has ended") } == true)
                }
                #expect(try await connection.query("select 7").decodeOne(Int.self) == 7)
            }
        }
    }

    @Test("a second statement at the same time is an error, and the first one goes on")
    func twoAtOnce() async throws {
        try await withSharedClient { client in
            try await client.withConnection { connection in
                let gate = try await SharedSandbox.get()
                let pid = try await connection.query("select pg_backend_pid()").decodeOne(Int.self)
                async let first = connection.query("select pg_sleep(60)")
                try await eventually("it runs") {
                    try await gate.execute("select query from pg_stat_activity where pid = \(pid) and state = 'active'")
                        == "select pg_sleep(60)"
                }
                let error = await #expect(throws: PostgresClientError.self) { try await connection.query("select 1") }
                #expect(error?.kind == .misuse)
                try await gate.execute("select pg_cancel_backend(\(pid))")
                do {
                    _ = try await first
                    Issue.record("expected it to be cancelled")
                } catch { #expect((error as? PostgresClientError)?.sqlState == .queryCanceled) }
            }
        }
    }

    @Test("subscriptions")
    func subscription() async throws {
        try await withSharedClient { client in
            let news = try await client.subscribe(to: "client news")
            var events = news.makeAsyncIterator()
            #expect(await events.next() == .listening)
            _ = try await client.query("select pg_notify('client news', \("hello"))")
            guard case .notification(let notification) = await events.next() else {
                Issue.record("no notification")
                return
            }
            #expect(notification.payload == "hello")
            let error = await #expect(throws: PostgresClientError.self) { try await client.subscribe(to: "") }
            #expect(error?.kind == .invalidStatement)
        }
    }

    @Test("settings that cannot be used have a problem")
    func problems() {
        var settings = PostgresClient.Settings()
        #expect(settings.problem == nil)
        settings.timeout = .zero
        #expect(settings.problem?.contains("timeout") == true)
        settings = .init()
        settings.pool.maximum = 0
        #expect(settings.problem != nil)
        settings = .init()
        settings.leaseWarning = .zero
        #expect(settings.problem != nil)
    }
}
