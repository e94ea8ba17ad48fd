public import DispatchLoop
internal import PostgresSession

// Checking out and releasing.
extension PostgresPool {
    /// How to resume a waiter.
    enum Waiting {
        case task(PoolContinuation<WaiterOutcome>)
        case closure(@LoopActor (WaiterOutcome) -> Void)

        @LoopActor
        func settle(_ outcome: WaiterOutcome) {
            switch self {
            case .task(let continuation): continuation.resume(returning: outcome)
            case .closure(let closure): closure(outcome)
            }
        }
    }

    struct WaitingEntry {
        let waiting: Waiting
        let since, deadline: MonotonicTime
    }

    /// Checks a connection out: an idle one, a new one, or the next one released.
    ///
    /// The caller returns it with ``release(_:)``, in a `defer`; ``withConnection(deadline:_:)`` does both.
    /// - Throws: ``PoolError``: at once during an outage, at the deadline when all connections are in use.
    public func checkOut(deadline: MonotonicTime) async throws(PoolError) -> PooledConnection {
        if let connection = try checkOutNow() { return connection }
        // Inline: a separate function would cost two executor checks.
        let ticket = WaitCancellation()
        let outcome = await withTaskCancellationHandler { @LoopActor in
            await withUnsafeContinuation { continuation in
                ask(poolContinuation(continuation), ticket, deadline)
            }
        } onCancel: {
            EventLoop.shared.submit { self.cancel(ticket) }
        }
        return PooledConnection(try outcome.get(), of: self)
    }

    /// Releases a connection. The pool rolls back an open transaction. A second call does nothing.
    public func release(_ connection: PooledConnection) {
        guard let leased = connection.surrender() else { return }
        giveBack(leased)
    }

    /// Checks a connection out, runs `body` with it, and releases it.
    public func withConnection<Value>(
        deadline: MonotonicTime, _ body: @LoopActor (PooledConnection) async throws -> Value
    ) async throws -> Value {
        let connection = try await checkOut(deadline: deadline)
        defer { release(connection) }
        return try await body(connection)
    }

    /// An idle connection that has passed the free check, if any. Not inlined, to keep the async frame of waiting tasks
    /// small.
    @inline(never)
    private func checkOutNow() throws(PoolError) -> PooledConnection? {
        if let refusal = refusalInForkedProcess { throw refusal }
        while machine.slots.hasIdle {
            guard case .lease(let id) = machine.checkOut(at: loop.now) else { break }
            guard let leased = checked(id) else { continue }
            measured(.checkedOut(waitNanoseconds: 0))
            return PooledConnection(leased, of: self)
        }
        return nil
    }

    private var refusalInForkedProcess: PoolError? {
        forkMark.isOwnProcess ? nil : PoolError(kind: .wrongProcess, health: machine.health)
    }

    /// The free check at check-out: skips a connection that has ended since the last round of the event loop.
    private func checked(_ id: ConnectionID) -> Leased? {
        guard let connection = connections[id.index] else { return nil }
        guard let error = connection.checkForEnd() else { return Leased(id: id, connection: connection) }
        disconnected(id, error)
        return nil
    }

    /// Not inlined, as above.
    @inline(never)
    private func ask(
        _ continuation: PoolContinuation<WaiterOutcome>, _ ticket: WaitCancellation, _ deadline: MonotonicTime
    ) {
        ticket.waiter = request(deadline: deadline, .task(continuation))
        if Task.isCancelled { cancel(ticket) }
    }

    private func cancel(_ ticket: WaitCancellation) {
        guard let waiter = ticket.waiter, let waiting = removeWaiter(waiter) else { return }
        waiting.settle(.failure(PoolError(kind: .cancelled, health: machine.health)))
    }

    /// Requests a connection. Calls `completion` once, perhaps before this returns; the waiter is `nil` then.
    func request(deadline: MonotonicTime, completion: @escaping @LoopActor (WaiterOutcome) -> Void) -> WaiterID? {
        request(deadline: deadline, .closure(completion))
    }

    private func request(deadline: MonotonicTime, _ waiting: Waiting) -> WaiterID? {
        if let refusal = refusalInForkedProcess {
            waiting.settle(.failure(refusal))
            return nil
        }
        while true {
            switch machine.checkOut(deadline: deadline, at: loop.now) {
            case .lease(let id):
                guard let leased = checked(id) else { continue }
                measured(.checkedOut(waitNanoseconds: 0))
                waiting.settle(.success(leased))
                return nil
            case .fail(let error):
                performActions()
                measured(.refused(error.kind))
                waiting.settle(.failure(error))
                return nil
            case .wait(let waiter):
                while self.waiting.count <= waiter.index { self.waiting.append(nil) }
                self.waiting[waiter.index] = WaitingEntry(waiting: waiting, since: loop.now, deadline: deadline)
                performActions()
                return machine.waiters.contains(waiter) ? waiter : nil
            }
        }
    }

    /// Withdraws a waiter without calling its completion. Does nothing when it is settled.
    func withdraw(_ waiter: WaiterID) {
        _ = removeWaiter(waiter)
    }

    private func removeWaiter(_ waiter: WaiterID) -> Waiting? {
        guard machine.giveUp(waiter) else { return nil }
        return waiting[waiter.index].take()?.waiting
    }
}

/// Links a cancellation handler to its waiter; used on the loop only.
@LoopActor
private final class WaitCancellation {
    var waiter: WaiterID?
    nonisolated init() {}
}
