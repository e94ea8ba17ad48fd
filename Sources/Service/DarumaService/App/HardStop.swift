import Dispatch
import DispatchLoop

/// Ends the process when the time for a graceful shutdown is over. A handler that never returns, or a blocked event loop,
/// would otherwise keep the process until it gets a SIGKILL.
///
/// It runs on a queue of its own, which has a thread whatever the loop and the tasks do.
package struct HardStop: Sendable {
    /// `EX_SOFTWARE` (sysexits.h): the program has failed, not its user or the machine.
    package static let exitStatus: Int32 = 70

    private let isCancelled = Locked(false)

    /// Runs `action` after `limit`, off the loop, unless ``cancel()`` comes first.
    package init(after limit: Duration, _ action: @escaping @Sendable () -> Void) {
        DispatchQueue(label: "daruma.hard-stop", qos: .userInitiated)
            .asyncAfter(deadline: .now() + .nanoseconds(Int(limit.nanoseconds))) { [isCancelled] in
                if !isCancelled.withLock({ $0 }) { action() }
            }
    }

    /// The shutdown has ended in time.
    package func cancel() { isCancelled.withLock { $0 = true } }
}
