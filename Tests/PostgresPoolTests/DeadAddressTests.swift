import DispatchLoop
import PostgresConnection
import PostgresSandbox
import Testing

@testable import PostgresPool

@LoopActor
@Suite(.timeLimit(.minutes(2))) struct DeadAddressTests {
    @Test("a dead address before the live one is found out once: sessions that end cost no ping its second")
    func sessionsEnd() async throws {
        let sandbox = try await PostgresSandbox.make()
        try await sandbox.start()
        let dead = try DeadAddress(port: sandbox.port)
        let addresses = [dead.address, sandbox.host]
        let configuration = ConnectionConfiguration("postgres://admin:P%40ssw0rd@db.example:\(sandbox.port)/mydb")
        let pool = PostgresPool(
            configuration, settings: PoolSettings(), resolver: HostResolver { _ in .success(addresses) })
        pool.start()
        try await ping(pool)
        for _ in 0..<3 {
            try await sandbox.terminateSessions()
            let start = MonotonicTime.now()
            try await ping(pool, deadline: start + .seconds(5))
            // A second, and the grace is over, where the dead one is asked each time.
            #expect(.now() - start < .milliseconds(700))
        }
        await pool.close(deadline: .now() + .seconds(5))
        try await sandbox.remove()
        withExtendedLifetime(dead) {}
    }
}
