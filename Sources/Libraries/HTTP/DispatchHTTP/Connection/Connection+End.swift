internal import DispatchLoop
internal import Glibc
internal import HTTP1
internal import HTTPTypes

// The end of a connection, and its deadlines.
extension Connection {
    /// Moves the connection to the eviction queue of its state.
    func updateEvictionQueue() {
        let isAtHead = machine.isAtHead
        guard machine.isIdle || isAtHead else { return server.evictable.remove(slot) }
        let queue: EvictionQueues.Name = isOnReserve ? .reserved : isAtHead ? .head : .idle
        // A connection within a header keeps its position, however many bytes arrive.
        if queue == .idle || server.evictable.queue(of: slot) != queue { server.evictable.append(slot, to: queue) }
        server.resumeAccepting()
    }

    /// Closes at once.
    func close(_ reason: ConnectionCloseReason, aborting: Bool = false) {
        guard !machine.isClosed else { return }
        machine.closed()
        timer.cancel()
        if let registration { server.loop.deregister(registration) }
        registration = nil
        if aborting { Socket.abort(descriptor) } else { Socket.close(descriptor) }
        output = PendingOutput()
        task?.cancel()
        task = nil
        stream?.close(reason)
        reportStream(abortReason: reason)
        server.connectionClosed(self, reason)
    }

    // MARK: Shutdown

    /// Starts the grace period, which can shorten the deadline.
    func beginLeaving() {
        machine.leave(grace: deadlines.drainGrace, at: server.loop.now)
        armTimer()
    }

    /// The connection's activity for the server's drain.
    var doing: ServerDrain.Doing {
        if stream != nil { return machine.state.isBlocked ? .streamingBehind : .streaming }
        if machine.state.phase == .lingering { return .lingering }
        return machine.isIdle ? .idle : .busy
    }

    /// Performs a verdict of the server's drain.
    func perform(_ verdict: ServerDrain.Verdict) {
        switch verdict {
        case .goesOn: break
        case .awaitsRequest: checkDeadline()
        case .endStream: endStream()
        case .abort: close(.drained, aborting: true)
        case .close: close(machine.state.closing ?? .drained)
        case .force: close(.drainForced)
        }
    }

    /// Sends and reads as much as the socket allows now, without waiting for a loop event.
    func look() {
        // `poll` reports a socket as writable when a third of its buffer is free. One free byte is not enough: a client
        // that reads a byte now and then would extend its deadline indefinitely.
        if machine.state.isBlocked, Socket.isWritable(descriptor) { sendPending() }
        machine.look()
        resume()
    }

    // MARK: Time

    var deadlines: TimeoutNanoseconds {
        isOnReserve ? server.reservedDeadlines : server.deadlines
    }

    func armTimer() {
        guard let deadline = machine.deadline(deadlines), timer.needsRearm(for: deadline) else { return }
        timer.set(for: deadline) { [self] in timerFired() }
    }

    private func timerFired() {
        timer.fired()
        checkDeadline()
    }

    /// Performs the machine's action if the deadline has passed.
    private func checkDeadline() {
        while !machine.isClosed {
            switch machine.timedOut(deadlines, at: server.loop.now) {
            case .none: return armTimer()
            case .look: look()
            case .lookLater: return timer.set(for: server.loop.now) { [self] in timerFired() }
            case .close(let reason): close(reason)
            case .abort(let reason): close(reason, aborting: true)
            case .answerTimeout(let reason):
                machine.refuse(reason)
                collect(
                    refusal: server.errorResponse(.requestTimeout, "The request did not arrive in time.", [:]), nil)
                return resume()
            }
        }
    }
}
