import DispatchLoop
import PostgresClient
import PostgresTestKit
import Synchronization
import Testing

/// `onConnect` with a real server.
@Suite("the hook of new connections", .timeLimit(.minutes(2)))
struct ConnectHookTests {
    private struct Refused: Error {}

    @Test("it prepares each session once, before its first lease, whatever the number of leases")
    func oncePerSession() async throws {
        let seen = Locked<[Int32]>([])
        try await withSharedClient({
            $0.pool.maximum = 3
            $0.onConnect = { connection in
                let backend = try await connection.query("select pg_backend_pid()").decodeOne(Int32.self)
                #expect(backend == connection.backendProcessID)
                _ = try await connection.query("select set_config('daruma.prepared', \("yes"), false)")
                seen.withLock { $0.append(backend) }
            }
        }) { client in
            let backends = try await withThrowingTaskGroup { group in
                for _ in 0..<30 {
                    group.addTask {
                        try await client.query("select pg_backend_pid(), current_setting('daruma.prepared')")
                            .decodeOne((Int32, String).self)
                    }
                }
                var backends: Set<Int32> = []
                for try await (backend, setting) in group {
                    #expect(setting == "yes")
                    backends.insert(backend)
                }
                return backends
            }
            let prepared = seen.withLock { $0 }
            #expect(Set(prepared).count == prepared.count, "once for each session")
            #expect(backends.isSubset(of: prepared))
        }
    }

    @Test("settings that it changes and that must not change are put back")
    func pinned() async throws {
        try await withSharedClient({
            $0.onConnect = { connection in
                _ = try await connection.query("set timezone = 'Asia/Kathmandu'; set datestyle = 'German'")
            }
        }) { client in
            let settings = try await client.query("select current_setting('timezone'), current_setting('datestyle')")
                .decodeOne((String, String).self)
            #expect(settings == ("UTC", "ISO, MDY"))
        }
    }

    @Test("its failure is the connect's: the server's error is the cause, and it is not tried in a tight loop")
    func fails() async throws {
        let calls = Atomic(0)
        try await withSharedClient({
            $0.pool.outageGrace = .milliseconds(50)
            $0.onConnect = { connection in
                calls.add(1, ordering: .relaxed)
                _ = try await connection.query("set role nobody_has_this_name")
            }
        }) { client in
            let begin = ContinuousClock.now
            try await eventually("refused for the hook's reason") {
                let error = await #expect(throws: PostgresClientError.self) { try await client.query("select 1") }
                return error?.cause?.sqlState == .invalidParameterValue
            }
            let error = await #expect(throws: PostgresClientError.self) { try await client.query("select 1") }
            #expect(error?.kind == .unavailable)
            #expect(error?.isSafeToRetry == true)
            #expect(error?.description.contains("setting the new connection up failed") == true)
            #expect(await client.databaseState == .misconfigured)
            // At most twenty connects in any second (Prober.socketLimit).
            let seconds = Int((ContinuousClock.now - begin).components.seconds) + 1
            #expect(calls.load(ordering: .relaxed) <= 20 * seconds)
        }
    }

    @Test("an error of one's own fails the connect by its type, and the next connect may succeed")
    func recovers() async throws {
        let isAllowed = Atomic(false)
        try await withSharedClient({
            $0.pool.outageGrace = .milliseconds(20)
            $0.onConnect = { _ in if !isAllowed.load(ordering: .relaxed) { throw Refused() } }
        }) { client in
            try await eventually("down") { await client.databaseState == .down }
            let error = await #expect(throws: PostgresClientError.self) { try await client.query("select 1") }
            #expect(error?.cause?.code == PostgresError.Code.setUp)
            #expect(error?.cause?.message == "setting the new connection up failed: Refused")
            isAllowed.store(true, ordering: .relaxed)
            try await eventually("up") { await client.databaseState == .up }
            let seven = try await client.query("select 7").decodeOne(Int.self)
            #expect(seven == 7)
        }
    }

    @Test("with another connection open its failure is no outage")
    func failsBesideOthers() async throws {
        let calls = Atomic(0)
        try await withSharedClient({
            $0.pool.maximum = 2
            $0.onConnect = { _ in
                if calls.add(1, ordering: .relaxed).newValue > 1 { throw Refused() }
            }
        }) { client in
            try await client.withConnection { connection in
                _ = try await connection.query("select 1")
                let error = await #expect(throws: PostgresClientError.self) {
                    try await client.query("select 1", timeout: .milliseconds(300))
                }
                #expect(error?.refusal?.kind == .saturated)
                #expect(await client.databaseState == .up)
                let seven = try await connection.query("select 7").decodeOne(Int.self)
                #expect(seven == 7)
            }
            #expect(calls.load(ordering: .relaxed) > 1)
        }
    }

    @Test("a slow hook delays the first lease and nothing else; one that does not end fails at its timeout")
    func slow() async throws {
        let mayEnd = Latch()
        try await withSharedClient({ $0.onConnect = { _ in await mayEnd.wait() } }) { client in
            async let value = client.query("select 7").decodeOne(Int.self)
            #expect(await client.databaseState == .suspect)
            await mayEnd.open()
            let seven = try await value
            #expect(seven == 7)
        }
        let wasCancelled = Latch()
        try await withSharedClient({
            $0.onConnectTimeout = .milliseconds(50)
            $0.pool.outageGrace = .milliseconds(20)
            $0.onConnect = { _ in
                do { try await Task.sleep(for: .seconds(600)) } catch {
                    await wasCancelled.open()
                    throw error
                }
            }
        }) { client in
            await wasCancelled.wait()
            try await eventually("down") { await client.databaseState == .down }
            let error = await #expect(throws: PostgresClientError.self) { try await client.query("select 1") }
            #expect(error?.cause?.message == "setting the new connection up failed: it did not end in time")
        }
    }

    @Test("the timeout ends its statement at the server too")
    func slowStatement() async throws {
        let sandbox = try await SharedSandbox.get()
        try await withSharedClient({
            $0.onConnectTimeout = .milliseconds(100)
            $0.pool.outageGrace = .milliseconds(20)
            $0.onConnect = { connection in _ = try await connection.query("select 'slow hook', pg_sleep(600)") }
        }) { client in
            try await eventually("down") { await client.databaseState == .down }
        }
        let running = "select count(*) from pg_stat_activity where query like '%slow hook%' and pid <> pg_backend_pid()"
        try await eventually("it no longer runs") { try await sandbox.execute(running) == "0" }
    }

    @Test("a transaction that it leaves open is a failure")
    func openTransaction() async throws {
        try await withSharedClient({
            $0.pool.outageGrace = .milliseconds(20)
            $0.onConnect = { connection in _ = try await connection.query("begin") }
        }) { client in
            try await eventually("down") { await client.databaseState == .down }
            let error = await #expect(throws: PostgresClientError.self) { try await client.query("select 1") }
            #expect(error?.cause?.message.hasSuffix("it left a transaction or a statement open") == true)
        }
    }

    @Test("a session that the server ends meanwhile is a connect that failed")
    func ended() async throws {
        let calls = Atomic(0)
        try await withSharedClient({
            $0.onConnect = { connection in
                guard calls.add(1, ordering: .relaxed).newValue == 1 else { return }
                _ = try await connection.query("select pg_terminate_backend(pg_backend_pid())")
            }
        }) { client in
            let seven = try await client.query("select 7").decodeOne(Int.self)
            #expect(seven == 7)
            #expect(calls.load(ordering: .relaxed) == 2)
        }
    }

    @Test("no hook runs on the event loop; sessions of subscriptions are set up too")
    func besideTheLoop() async throws {
        let onLoop = Locked<[String: Bool]>([:])
        let note: @Sendable (String) -> Void = { name in
            let isOnLoop = EventLoop.shared.isIsolatingCurrentContext() ?? true
            onLoop.withLock { $0[name] = ($0[name] ?? false) || isOnLoop }
        }
        let calls = Atomic(0)
        let password = try await SharedSandbox.get().configuration.password
        try await withSharedClient({
            $0.pool.maximum = 2
            $0.passwordProvider = {
                note("password")
                return password
            }
            $0.onConnect = { _ in
                note("connect")
                calls.add(1, ordering: .relaxed)
            }
            $0.onNotice = { _ in note("notice") }
            $0.onStatement = { _ in note("statement") }
        }) { client in
            _ = try await client.query("drop table if exists nowhere_at_all")
            try await client.withConnection { connection in
                let subscription = try await client.subscribe(to: "hooks")
                var events = subscription.makeAsyncIterator()
                #expect(await events.next() == .listening)
                _ = try await connection.query("select 1")
            }
            try await eventually("all were called") { onLoop.withLock { $0.count } == 4 }
        }
        #expect(onLoop.withLock { $0.values.allSatisfy { !$0 } })
        #expect(calls.load(ordering: .relaxed) == 2)
    }

    @Test("closing the client while it runs closes its session")
    func closing() async throws {
        let isRunning = Latch()
        let wasCancelled = Latch()
        try await withSharedClient({
            $0.onConnect = { _ in
                await isRunning.open()
                do { try await Task.sleep(for: .seconds(600)) } catch { await wasCancelled.open() }
            }
        }) { client in
            await isRunning.wait()
            await client.shutDown()
            await wasCancelled.wait()
            #expect(await client.databaseState == .closed)
        }
    }
}
