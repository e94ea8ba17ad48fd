internal import Dispatch
internal import DispatchLoop
internal import Glibc

/// A loop on its own thread, for clients and watchers that must not share the cooperative threads.
package final class BackgroundLoop: Sendable {
    private let isStopped = Locked(false)
    private let done = DispatchSemaphore(value: 0)

    /// Starts the thread. `body` returns once `isStopped` is true.
    package init(_ name: String, _ body: @escaping @Sendable (_ isStopped: () -> Bool) -> Void) {
        // A separate serial queue occupies one thread for as long as this block runs.
        DispatchQueue(label: name).async { [isStopped, done] in
            body { isStopped.withLock { $0 } }
            done.signal()
        }
    }

    /// Repeats a step. The pause follows each step.
    package convenience init(_ name: String, pause: Duration, _ step: @escaping @Sendable () -> Void) {
        self.init(name) { isStopped in
            while !isStopped() {
                step()
                sleepThread(for: pause)
            }
        }
    }

    /// Repeats a step at a steady pace. A slow step delays the next one, and is not followed by a burst.
    package convenience init(
        _ name: String, every interval: Duration, _ makeStep: @escaping @Sendable () -> () -> Void
    ) {
        self.init(name) { isStopped in
            let step = makeStep()
            var next = ContinuousClock.now
            while !isStopped() {
                step()
                next = max(next + interval, ContinuousClock.now)
                sleepThread(for: next - ContinuousClock.now)
            }
        }
    }

    /// Asks the loop to end, without waiting for it.
    package func requestStop() { isStopped.withLock { $0 = true } }

    /// Stops the loop and waits for its end.
    package func stop() async {
        requestStop()
        await waitForEnd()
    }

    /// Waits until the loop has ended on its own or was stopped.
    package func waitForEnd() async {
        let done = self.done
        await offCooperativeThreads {
            done.wait()
            done.signal()  // lets a later call return at once
        }
    }
}

/// Blocks this thread.
package func sleepThread(for duration: Duration) {
    if duration > .zero { usleep(UInt32(duration.fractionalMilliseconds * 1000)) }
}
