/// One loop timer for many short-lived deadlines. Only an earlier deadline reschedules it, so it also fires for
/// deadlines that were met or have moved; its owner then checks what is due and sets it again.
///
/// ```swift
/// if timer.needsRearm(for: deadline) { timer.set(for: deadline) { [weak self] in self?.timerFired() } }
/// ```
@LoopActor
package struct DeadlineTimer {
    private var pending: (id: TimerID, deadline: MonotonicTime)?

    package nonisolated init() {}

    /// Whether `deadline` needs a call to ``set(for:_:)``. A separate method, so that the common case allocates no
    /// closure.
    package func needsRearm(for deadline: MonotonicTime) -> Bool {
        deadline < (pending?.deadline ?? .distantFuture)
    }

    /// Schedules `action`, which must call ``fired()`` first, in place of the scheduled one.
    package mutating func set(for deadline: MonotonicTime, _ action: @escaping @LoopActor () -> Void) {
        cancel()
        pending = (EventLoop.shared.schedule(at: deadline, action), deadline)
    }

    /// Notes that the timer has fired.
    package mutating func fired() { pending = nil }

    /// Cancels the timer if it is set.
    package mutating func cancel() {
        if let pending { EventLoop.shared.cancel(pending.id) }
        pending = nil
    }
}
