/// One timer for deadlines that come and go, moved as rarely as possible: only a deadline that lies before what it is set to
/// moves it. It then fires for deadlines that have been met or have moved later, too; its owner looks at what is due and
/// sets it again.
///
/// ```swift
/// if timer.needsRearm(for: deadline) { timer.set(for: deadline) { [weak self] in self?.timerFired() } }
/// ```
@LoopActor
package struct DeadlineTimer {
    private var pending: (id: TimerID, deadline: MonotonicTime)?

    package nonisolated init() {}

    /// Whether it has to be set for `deadline`. Asked apart from ``set(for:_:)``, because an action is an object, and nearly
    /// always none is needed.
    package func needsRearm(for deadline: MonotonicTime) -> Bool {
        deadline < (pending?.deadline ?? .distantFuture)
    }

    /// Sets it, instead of what it was set to. `action` calls ``fired()`` first.
    package mutating func set(for deadline: MonotonicTime, _ action: @escaping @LoopActor () -> Void) {
        cancel()
        pending = (EventLoop.shared.schedule(at: deadline, action), deadline)
    }

    /// It has fired.
    package mutating func fired() { pending = nil }

    /// Takes it back, if it is set.
    package mutating func cancel() {
        if let pending { EventLoop.shared.cancel(pending.id) }
        pending = nil
    }
}
