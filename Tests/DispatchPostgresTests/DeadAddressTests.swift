import DispatchLoop
import PostgresSession
import PostgresTestKit
import Testing

@testable import DispatchPostgres

@LoopActor
@Suite(.timeLimit(.minutes(2))) struct DeadAddressTests {
    @Test("the pool tries a dead address before a live one once: sessions that end delay no ping by its timeout")
    func sessionsEnd() async throws {
        let sandbox = try await PostgresSandbox.make()
        try await sandbox.start()
        let dead = try DeadAddress(port: sandbox.port)
        let addresses = [dead.address, sandbox.host]
        let configuration = ConnectionConfiguration("postgres://admin:P%40ssw0rd@db.example:\(sandbox.port)/mydb")
        var settings = PoolSettings()
        settings.outageGrace = .seconds(20)
        let pool = PostgresPool(
            configuration, settings: settings, resolver: HostResolver { _ in .success(addresses) })
        pool.start()
        try await ping(pool)
        var quickest = Duration.seconds(60)
        for _ in 0..<5 {
            try await sandbox.terminateSessions()
            let start = MonotonicTime.now()
            try await ping(pool)
            quickest = min(quickest, .now() - start)
        }
        // If the pool tried the dead address each time, each ping would take a second. The quickest of five allows for
        // a busy machine.
        #expect(quickest < .milliseconds(700), "\(quickest)")
        await pool.close(deadline: .now() + .seconds(5))
        try await sandbox.remove()
        withExtendedLifetime(dead) {}
    }
}
