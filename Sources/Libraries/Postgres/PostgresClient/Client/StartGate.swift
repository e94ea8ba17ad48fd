internal import DispatchLoop
internal import DispatchPostgres

/// Where statements wait that come before the client is started.
@LoopActor
final class StartGate {
    private var isOpen = false
    private var waiters: [ObjectIdentifier: Waiter] = [:]

    /// How many wait.
    var count: Int { waiters.count }

    nonisolated init() {}

    /// One statement. Settled once: by the gate, its deadline or its task's cancellation.
    @LoopActor
    private final class Waiter {
        var continuation: CheckedContinuation<PoolError.Kind?, Never>?
        var timer: TimerID?
        nonisolated init() {}
    }

    /// Lets all pass, now and from now on.
    func open() {
        isOpen = true
        for waiter in Array(waiters.values) { settle(waiter, nil) }
    }

    /// Returns when the gate is open.
    ///
    /// - Throws: ``PoolError`` of kind `notStarted` at the deadline, `cancelled` when the task is cancelled.
    func wait(until deadline: MonotonicTime) async throws(PoolError) {
        if isOpen { return }
        let waiter = Waiter()
        let refusal = await withTaskCancellationHandler { @LoopActor in
            await withCheckedContinuation { continuation in
                waiter.continuation = continuation
                waiters[ObjectIdentifier(waiter)] = waiter
                waiter.timer = EventLoop.shared.schedule(at: deadline) { self.settle(waiter, .notStarted) }
                if Task.isCancelled { settle(waiter, .cancelled) }
            }
        } onCancel: {
            EventLoop.shared.submit { self.settle(waiter, .cancelled) }
        }
        if let refusal { throw PoolError(kind: refusal, health: .suspect) }
    }

    private func settle(_ waiter: Waiter, _ refusal: PoolError.Kind?) {
        waiters[ObjectIdentifier(waiter)] = nil
        if let timer = waiter.timer { EventLoop.shared.cancel(timer) }
        waiter.timer = nil
        waiter.continuation?.resume(returning: refusal)
        waiter.continuation = nil
    }
}
