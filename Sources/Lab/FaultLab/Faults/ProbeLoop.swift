import DispatchLoop
import Dispatch
import Glibc
package import PostgresTestKit

/// A client that asks the same path at a steady pace, on a thread of its own, and records every
/// exchange, until it is told to stop.
package final class ProbeLoop: Sendable {
    private let isStopped = Locked(false)
    private let done = DispatchSemaphore(value: 0)

    package init(_ target: ServiceAddress, path: String, every interval: Duration, into timeline: Timeline) {
        // A queue of its own is a thread of its own while this block lasts.
        DispatchQueue(label: "probe \(path)").async { [isStopped, done] in
            let probe = HTTPProbe(host: target.host, port: target.port)
            var next = ContinuousClock.now
            while !isStopped.withLock({ $0 }) {
                timeline.record(on: path) { probe.get(path) }
                // A slow answer is not made up for by a burst.
                next = max(next + interval, ContinuousClock.now)
                let pause = next - ContinuousClock.now
                if pause > .zero { usleep(UInt32(pause.milliseconds * 1000)) }
            }
            done.signal()
        }
    }

    /// Returns once the last exchange is recorded.
    package func stop() async {
        isStopped.withLock { $0 = true }
        let done = self.done
        await offCooperativeThreads { done.wait() }
    }
}

extension ProbeLoop {
    /// Stops all of them at the same time. Returns once the last exchange is recorded.
    static func stop(_ loops: [ProbeLoop]) async {
        for loop in loops { loop.isStopped.withLock { $0 = true } }
        for loop in loops { await loop.stop() }
    }
}
