import DispatchLoop
import PostgresClient
import PostgresTestKit
import Synchronization
import Testing

/// A password for each log-in, with a real server.
@Suite("the password provider", .timeLimit(.minutes(2)))
struct PasswordProviderTests {
    private struct TokenError: Error, CustomStringConvertible {
        var description: String { "the secret is s3cret" }
    }

    /// A role of the test's own, and its URL without a password.
    private func role(_ name: String, password: String) async throws -> String {
        let sandbox = try await SharedSandbox.get()
        try await sandbox.execute("drop role if exists \(name); create role \(name) login password '\(password)'")
        return sandbox.connectionURL(user: name, password: "")
    }

    @Test("it is asked for each log-in, and wins over the configuration's password")
    func asked() async throws {
        let calls = Atomic(0)
        let sandbox = try await SharedSandbox.get()
        let password = sandbox.configuration.password
        try await withClient(
            sandbox.connectionURL(password: "wrong"),
            {
                $0.pool.maximum = 2
                $0.passwordProvider = {
                    calls.add(1, ordering: .relaxed)
                    return password
                }
            }
        ) { client in
            try await client.withConnection { connection in
                _ = try await connection.query("select 1")
                let seven = try await client.query("select 7").decodeOne(Int.self)
                #expect(seven == 7)
            }
            #expect(calls.load(ordering: .relaxed) >= 2)
        }
    }

    @Test("a password that is rotated while the client lives: open connections serve, new ones log in with the new one")
    func rotated() async throws {
        let url = try await role("rotating", password: "first")
        let sandbox = try await SharedSandbox.get()
        let password = Locked("first")
        try await withClient(
            url,
            {
                $0.pool.maximum = 2
                $0.passwordProvider = { password.withLock { $0 } }
            }
        ) { client in
            try await client.withConnection { connection in
                let first = try await connection.query("select pg_backend_pid()").decodeOne(Int.self)
                try await sandbox.execute("alter role rotating password 'second'")
                password.withLock { $0 = "second" }
                let second = try await client.query("select pg_backend_pid()").decodeOne(Int.self)
                #expect(first != second)
                let seven = try await connection.query("select 7").decodeOne(Int.self)
                #expect(seven == 7)
            }
        }
    }

    @Test("an old password is refused, and the next one that it gives is taken")
    func late() async throws {
        let url = try await role("late_rotation", password: "new")
        let password = Locked("old")
        try await withClient(
            url,
            {
                $0.pool.outageGrace = .milliseconds(20)
                $0.passwordProvider = { password.withLock { $0 } }
            }
        ) { client in
            try await eventually("misconfigured") { await client.databaseState == .misconfigured }
            password.withLock { $0 = "new" }
            try await eventually("up") { await client.databaseState == .up }
        }
    }

    @Test("one that throws fails the connect without its text, and is not called in a tight loop")
    func throwing() async throws {
        let calls = Atomic(0)
        let isAllowed = Atomic(false)
        let url = try await role("throwing", password: "s3cret")
        try await withClient(
            url,
            {
                $0.pool.outageGrace = .milliseconds(20)
                $0.passwordProvider = {
                    calls.add(1, ordering: .relaxed)
                    guard isAllowed.load(ordering: .relaxed) else { throw TokenError() }
                    return "s3cret"
                }
            }
        ) { client in
            let begin = ContinuousClock.now
            try await eventually("down") { await client.databaseState == .down }
            for _ in 0..<100 {
                let error = await #expect(throws: PostgresClientError.self) { try await client.query("select 1") }
                #expect(error?.cause?.code == PostgresError.Code.passwordProvider)
                #expect(error?.cause?.message == "the password provider failed with TokenError")
                if let error { #expect(!"\(error) \(String(reflecting: error))".contains("s3cret")) }
            }
            // Every 250 ms at most.
            let quarters = Int((ContinuousClock.now - begin) / .milliseconds(250)) + 1
            #expect(calls.load(ordering: .relaxed) <= quarters)
            isAllowed.store(true, ordering: .relaxed)
            try await eventually("up") { await client.databaseState == .up }
        }
    }

    @Test("one that hangs fails the connect at its timeout, and is cancelled", arguments: [1, 3])
    func hanging(maximum: Int) async throws {
        let hangs = Atomic(true)
        let wasCancelled = Latch()
        let url = try await role("hanging", password: "pw")
        try await withClient(
            url,
            {
                $0.pool.maximum = maximum
                $0.pool.outageGrace = .milliseconds(20)
                $0.passwordTimeout = .milliseconds(300)
                $0.passwordProvider = {
                    guard hangs.load(ordering: .relaxed) else { return "pw" }
                    do { try await Task.sleep(for: .seconds(600)) } catch {
                        await wasCancelled.open()
                        throw error
                    }
                    return "pw"
                }
            }
        ) { client in
            await wasCancelled.wait()
            try await eventually("the connect has failed for it", within: .seconds(8)) {
                let error = await #expect(throws: PostgresClientError.self) { try await client.query("select 1") }
                return error?.cause?.message == "the password provider did not answer in time"
            }
            hangs.store(false, ordering: .relaxed)
            try await eventually("up") { await client.databaseState == .up }
            let seven = try await client.query("select 7").decodeOne(Int.self)
            #expect(seven == 7)
        }
    }

    @Test("a slow one is a slow connect: the only slot of a pool is not taken from it")
    func slow() async throws {
        let calls = Atomic(0)
        let url = try await role("slow_provider", password: "pw")
        try await withClient(
            url,
            {
                $0.pool.maximum = 1
                $0.passwordProvider = {
                    calls.add(1, ordering: .relaxed)
                    // Longer than the pool waits for a server that does not accept (Prober.soloTimeout).
                    try await Task.sleep(for: .milliseconds(1_400))
                    return "pw"
                }
            }
        ) { client in
            let seven = try await client.query("select 7").decodeOne(Int.self)
            #expect(seven == 7)
            #expect(calls.load(ordering: .relaxed) == 1)
        }
    }

    @Test("a password that libpq would cut or replace is refused", arguments: ["", "a\0b"])
    func unusable(password: String) async throws {
        let url = try await role("unusable", password: "a")
        try await withClient(
            url,
            {
                $0.pool.outageGrace = .milliseconds(20)
                $0.passwordProvider = { password }
            }
        ) { client in
            try await eventually("down") { await client.databaseState == .down }
            let error = await #expect(throws: PostgresClientError.self) { try await client.query("select 1") }
            #expect(error?.cause?.code == PostgresError.Code.passwordProvider)
        }
    }
}
