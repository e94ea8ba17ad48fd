import DispatchLoop
import Dispatch
import Glibc
import PostgresTestKit

/// How late this machine wakes a thread that sleeps: what a latency contains that is nobody's but the
/// scheduler's. Says how far a run's figures can be trusted; excuses nothing.
final class SchedulerLatency: Sendable {
    private let delays = Locked<[Duration]>([])
    private let isStopped = Locked(false)
    private let done = DispatchSemaphore(value: 0)

    init() {
        DispatchQueue(label: "wake-up delay").async { [delays, isStopped, done] in
            while !isStopped.withLock({ $0 }) {
                let begin = ContinuousClock.now
                usleep(10_000)
                let delay = ContinuousClock.now - begin - .milliseconds(10)
                delays.withLock { $0.append(delay) }
            }
            done.signal()
        }
    }

    var p99: Duration { delays.withLock { $0 }.percentile(99) }

    func stop() async {
        isStopped.withLock { $0 = true }
        let done = self.done
        await offCooperativeThreads { done.wait() }
    }
}
