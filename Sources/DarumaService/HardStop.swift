import Dispatch
import DispatchLoop

/// What happens when the time for leaving is over and the process is still there: a handler that does not end, or an
/// event loop that does not turn, must not hold it until somebody sends SIGKILL.
///
/// It stands on a queue of its own, which has a thread whatever the loop and the tasks do.
package struct HardStop: Sendable {
    /// `EX_SOFTWARE` of sysexits.h: it was this program that failed, not its user or the machine.
    package static let exitStatus: Int32 = 70

    private let isCancelled = Locked(false)

    /// Performs `action` after so long, off the loop.
    package init(after limit: Duration, _ action: @escaping @Sendable () -> Void) {
        DispatchQueue(label: "daruma.hard-stop", qos: .userInitiated)
            .asyncAfter(deadline: .now() + .nanoseconds(Int(limit.nanoseconds))) { [isCancelled] in
                if !isCancelled.withLock({ $0 }) { action() }
            }
    }

    /// All has ended in time.
    package func cancel() { isCancelled.withLock { $0 = true } }
}
