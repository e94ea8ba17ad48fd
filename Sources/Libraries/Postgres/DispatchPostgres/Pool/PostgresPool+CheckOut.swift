public import DispatchLoop
internal import PostgresSession

// Checking out and giving back.
extension PostgresPool {
    /// Who is told when a waiter is settled.
    enum Waiting {
        case task(PoolContinuation<Answer>)
        case closure(@LoopActor (Answer) -> Void)

        @LoopActor
        func settle(_ answer: Answer) {
            switch self {
            case .task(let continuation): continuation.resume(returning: answer)
            case .closure(let closure): closure(answer)
            }
        }
    }

    struct WaitingEntry {
        let waiting: Waiting
        let since, deadline: MonotonicTime
    }

    /// Checks a connection out: an idle one, a new one, or the next that comes home.
    ///
    /// The caller gives it back with ``release(_:)``, in a `defer`.
    /// - Throws: ``PoolError``: at once while the database is known to be away, at the deadline when all are in use.
    public func checkOut(deadline: MonotonicTime) async throws(PoolError) -> PooledConnection {
        if let connection = try checkOutNow() { return connection }
        // In place and not in a function of its own, which would be two changes of executors to ask about.
        let ticket = WaitCancellation()
        let answer = await withTaskCancellationHandler { @LoopActor in
            await withUnsafeContinuation { continuation in
                ask(poolContinuation(continuation), ticket, deadline)
            }
        } onCancel: {
            EventLoop.shared.submit { self.cancel(ticket) }
        }
        return PooledConnection(try answer.get(), of: self)
    }

    /// Gives a connection back. Open transactions are rolled back. A second call does nothing.
    public func release(_ connection: PooledConnection) {
        guard let leased = connection.surrender() else { return }
        giveBack(leased)
    }

    /// Checks a connection out for the time of `body`.
    public func withConnection<Value>(
        deadline: MonotonicTime, _ body: @LoopActor (PooledConnection) async throws -> Value
    ) async throws -> Value {
        let connection = try await checkOut(deadline: deadline)
        defer { release(connection) }
        return try await body(connection)
    }

    /// An idle connection that has passed the free check, if there is one. Not inlined: what it works with would be a part
    /// of the memory of every task that waits.
    @inline(never)
    private func checkOutNow() throws(PoolError) -> PooledConnection? {
        if let refusal = refusalInForkedProcess { throw refusal }
        while machine.health != .draining, machine.health != .closed, machine.slots.hasIdle {
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

    /// The free check at check-out: a connection that has ended since the loop last looked is not handed out.
    private func checked(_ id: ConnectionID) -> Leased? {
        guard let connection = connections[id.index] else { return nil }
        guard let error = connection.checkForEnd() else { return Leased(id: id, connection: connection) }
        ended(id, error)
        return nil
    }

    /// Not inlined either.
    @inline(never)
    private func ask(_ continuation: PoolContinuation<Answer>, _ ticket: WaitCancellation, _ deadline: MonotonicTime) {
        ticket.waiter = request(deadline: deadline, .task(continuation))
        if Task.isCancelled { cancel(ticket) }
    }

    private func cancel(_ ticket: WaitCancellation) {
        guard let waiter = ticket.waiter, let waiting = takeOut(waiter) else { return }
        waiting.settle(.failure(PoolError(kind: .cancelled, health: machine.health)))
    }

    /// Asks for a connection; `completion` is called once, perhaps before this returns. The waiter is `nil` then.
    func request(deadline: MonotonicTime, completion: @escaping @LoopActor (Answer) -> Void) -> WaiterID? {
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

    /// Takes a waiter back, which is not told. Does nothing when it has been settled.
    func takeBack(_ waiter: WaiterID) {
        _ = takeOut(waiter)
    }

    private func takeOut(_ waiter: WaiterID) -> Waiting? {
        guard machine.giveUp(waiter) else { return nil }
        return waiting[waiter.index].take()?.waiting
    }
}

/// What a cancellation handler needs to find its waiter; touched on the loop only.
@LoopActor
private final class WaitCancellation {
    var waiter: WaiterID?
    nonisolated init() {}
}
