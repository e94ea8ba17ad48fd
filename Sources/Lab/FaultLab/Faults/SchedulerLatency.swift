import DispatchLoop
import PostgresTestKit

/// How late the machine wakes a sleeping thread. Measured latencies contain this delay, which is not the service's.
final class SchedulerLatency: Sendable {
    private let delays = Locked<[Duration]>([])
    private let loop: BackgroundLoop

    init() {
        loop = BackgroundLoop("scheduler latency", pause: .zero) { [delays] in
            let begin = ContinuousClock.now
            sleepThread(for: .milliseconds(10))
            let delay = ContinuousClock.now - begin - .milliseconds(10)
            delays.withLock { $0.append(delay) }
        }
    }

    var p99: Duration { delays.withLock { $0 }.percentile(99) }

    func stop() async { await loop.stop() }
}
