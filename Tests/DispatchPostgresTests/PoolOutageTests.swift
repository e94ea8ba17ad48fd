import DispatchLoop
import PostgresSession
import PostgresTestKit
import Testing

@testable import DispatchPostgres

@LoopActor
@Suite(.timeLimit(.minutes(3))) struct PoolOutageTests {
    @Test("a restart under load fails no query", arguments: [StopMode.fast, .immediate])
    func restart(mode: StopMode) async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            try await withPool(sandbox.connectionURL()) { pool, _ in
                let load = Task {
                    var count = 0
                    while !Task.isCancelled {
                        try await ping(pool)
                        count += 1
                    }
                    return count
                }
                try await eventually("up") { pool.snapshot.health == .up }
                try await sandbox.stop(mode)
                try await sandbox.start()
                // On a busy machine the restart may end before this process runs; the pool then reports no event.
                try await ping(pool)
                load.cancel()
                do { #expect(try await load.value > 0) } catch let error as PoolError {
                    #expect(error.kind == .cancelled)
                } catch let error as PostgresError {
                    #expect(error.code == PostgresError.Code.cancelled)
                }
            }
        }
    }

    @Test("the pool finds a database that starts after it, and fails at once when that stops")
    func comesAndGoes() async throws {
        let sandbox = try await PostgresSandbox.make()
        try await withPool(sandbox.connectionURL(), { $0.outageGrace = .milliseconds(50) }) { pool, recorder in
            try await eventually("down") { pool.snapshot.health == .down }
            let error = await #expect(throws: PoolError.self) { try await ping(pool) }
            #expect(error?.kind == .unavailable)
            #expect(error?.code == PostgresError.Code.refused)
            let isUp = recorder.watch { $0.isUp }
            try await sandbox.start()
            await isUp.happened()
            try await ping(pool)
            let isDown = recorder.watch { $0.isDown }
            try await sandbox.stop(.immediate)
            await isDown.happened()
            #expect(pool.snapshot.idle == 0)
        }
        try await sandbox.remove()
    }

    @Test("a wrong password is reported, and fixing it at the database is enough")
    func password() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            try await withPool(sandbox.connectionURL(password: "new")) { pool, recorder in
                try await eventually("misconfigured") { pool.snapshot.health == .misconfigured }
                let error = await #expect(throws: PoolError.self) { try await ping(pool) }
                #expect(error?.code == "28P01")
                let isUp = recorder.watch { $0.isUp }
                _ = try await sandbox.execute("alter role admin password 'new'")
                await isUp.happened()
                try await ping(pool)
            }
        }
    }

    @Test("a bad connection string fails every check-out with its cause, and closing still works")
    func badString() async throws {
        try await withPool("nonsense") { pool, _ in
            try await eventually("misconfigured") { pool.snapshot.health == .misconfigured }
            let error = await #expect(throws: PoolError.self) { try await ping(pool) }
            #expect(error?.code == PostgresError.Code.conninfo)
        }
    }

    @Test("a black hole is an outage after silence, which ends as soon as the network works again")
    func blackHole() async throws {
        let sandbox = try await SharedSandbox.get()
        let relay = try FaultRelay(to: sandbox.port)
        try await withPool(sandbox.connectionURL(port: relay.port), { $0.outageGrace = .seconds(3) }) {
            pool, recorder in
            try await ping(pool)
            relay.behave(.blackHole)
            let isDown = recorder.watch { $0.isDown }
            await #expect(throws: (any Error).self) { try await ping(pool, deadline: .now() + .seconds(4)) }
            await isDown.happened()
            let error = await #expect(throws: PoolError.self) { try await ping(pool) }
            #expect(error?.kind == .unavailable)
            let isUp = recorder.watch { $0.isUp }
            relay.behave(.forwarding)
            await isUp.happened()
            try await ping(pool)
        }
        await relay.shutDown()
    }
}
