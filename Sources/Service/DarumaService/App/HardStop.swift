import Dispatch
import DispatchLoop

/// Ends the process when a graceful shutdown exceeds its timeout: a handler that never returns, or a blocked event
/// loop, would otherwise keep it running until SIGKILL.
///
/// It runs on its own queue, so that neither the loop nor the tasks can block it.
package struct HardStop: Sendable {
    /// `EX_SOFTWARE` (sysexits.h): an internal error.
    package static let exitStatus: Int32 = 70

    private let isCancelled = Locked(false)

    /// Runs `action` after `limit` unless ``cancel()`` is called before.
    package init(after limit: Duration, _ action: @escaping @Sendable () -> Void) {
        DispatchQueue(label: "daruma.hard-stop", qos: .userInitiated)
            .asyncAfter(deadline: .now() + .nanoseconds(Int(limit.nanoseconds))) { [isCancelled] in
                if !isCancelled.withLock({ $0 }) { action() }
            }
    }

    /// The shutdown is complete.
    package func cancel() { isCancelled.withLock { $0 = true } }
}
