import DispatchLoop
import PostgresSession
import Testing

@testable import DispatchPostgres

/// Records the pool's events.
@LoopActor
final class EventRecorder: PoolObserver {
    private(set) var events: [PoolEvent] = []
    private var watches: [Watch] = []

    /// Waits for an event that happens after the watch is created.
    @LoopActor
    final class Watch {
        private let isWanted: @LoopActor (PoolEvent) -> Bool
        private var hasHappened = false
        private var continuation: CheckedContinuation<Void, Never>?

        init(_ isWanted: @escaping @LoopActor (PoolEvent) -> Bool) {
            self.isWanted = isWanted
        }

        func note(_ event: PoolEvent) {
            guard isWanted(event) else { return }
            hasHappened = true
            continuation?.resume()
            continuation = nil
        }

        /// Waits until the event has happened.
        func happened() async {
            await withCheckedContinuation { if hasHappened { $0.resume() } else { continuation = $0 } }
        }
    }

    func pool(_ pool: PostgresPool, did event: PoolEvent) {
        events.append(event)
        for watch in watches { watch.note(event) }
    }

    /// Starts to watch for an event, so that one that precedes `happened()` counts.
    func watch(for isWanted: @escaping @LoopActor (PoolEvent) -> Bool) -> Watch {
        let watch = Watch(isWanted)
        watches.append(watch)
        return watch
    }

    var retries: Int { events.count { if case .retried = $0 { true } else { false } } }
    var reasons: [SessionCloseReason] {
        events.compactMap { if case .closed(_, let reason, _) = $0 { reason } else { nil } }
    }
}

extension PoolEvent {
    var isUp: Bool { if case .healthChanged(_, .up, _, _) = self { true } else { false } }
    var isDown: Bool { if case .healthChanged(_, .down, _, _) = self { true } else { false } }
}

var soon: MonotonicTime { .now() + .seconds(20) }

@LoopActor
func withPool(
    _ url: String, _ change: (inout PoolSettings) -> Void = { _ in },
    _ body: @LoopActor (PostgresPool, EventRecorder) async throws -> Void
) async throws {
    var settings = PoolSettings()
    // All tests run at once, perhaps on a small machine. The long grace keeps load from looking like an outage.
    settings.outageGrace = .seconds(20)
    change(&settings)
    let recorder = EventRecorder()
    let pool = PostgresPool(ConnectionConfiguration(url), settings: settings, observers: [recorder])
    pool.start()
    do { try await body(pool, recorder) } catch {
        await pool.close(deadline: .now() + .seconds(1))
        throw error
    }
    await pool.close(deadline: .now() + .seconds(5))
    #expect(pool.snapshot.total == 0)
}

/// Runs the query of `/ping`.
@LoopActor
func ping(_ pool: PostgresPool, deadline: MonotonicTime = soon) async throws {
    let connection = try await pool.checkOut(deadline: deadline)
    defer { pool.release(connection) }
    let result = try await connection.query(
        "select 1", isIdempotent: true, isPrepared: true, deadline: deadline)
    #expect(result.values == ["1"])
}
