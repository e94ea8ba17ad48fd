package import DispatchLoop
internal import DispatchPostgres
internal import PostgresSession
internal import PostgresTestKit

/// The processor time of a check-out while many callers wait: joining the queue, getting the connection and releasing
/// it.
@LoopActor
package enum WaiterGrowth {
    /// Nanoseconds of this process for each waiter. All waiters share one connection.
    package static func cost(waiters count: Int, databaseURL: String) async throws -> Double {
        var settings = PoolSettings()
        settings.maximum = 1
        settings.maximumWaiters = count + 1
        settings.keepalive = nil
        settings.silenceTimeout = .seconds(600)
        // On a busy machine the first login may take longer than a service would wait.
        settings.outageGrace = .seconds(30)
        let pool = PostgresPool(ConnectionConfiguration(databaseURL), settings: settings)
        pool.start()
        let deadline = MonotonicTime.now() + .seconds(600)
        let first = try await pool.checkOut(deadline: deadline)
        // The same number of check-outs for every count, so that all means are equally exact.
        let rounds = max(1, 100_000 / count)
        let begin = ProcessorTime.nanoseconds
        var failures = 0
        for round in 0..<rounds {
            failures += await turn(pool, count, deadline, release: round == 0 ? first : nil)
        }
        let used = ProcessorTime.nanoseconds - begin
        await pool.close(deadline: .now() + .seconds(5))
        if failures > 0 { throw SandboxError(.service, "\(failures) of \(count) waiters got no connection") }
        return Double(used) / Double(rounds * count)
    }

    private static func turn(
        _ pool: PostgresPool, _ count: Int, _ deadline: MonotonicTime, release first: PooledConnection?
    ) async -> Int {
        var left = count
        var failures = 0
        await withCheckedContinuation { continuation in
            for _ in 0..<count {
                _ = EventLoop.shared.task {
                    do {
                        pool.release(try await pool.checkOut(deadline: deadline))
                    } catch {
                        failures += 1
                    }
                    left -= 1
                    if left == 0 { continuation.resume() }
                }
            }
            if let first { _ = EventLoop.shared.task { pool.release(first) } }
        }
        return failures
    }
}
