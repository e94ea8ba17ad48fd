internal import DispatchLoop
internal import Glibc
internal import HTTP1
internal import HTTPTypes

// How a connection ends, and when something is due.
extension Connection {
    /// At the end of an event: closes if that has been decided and all is sent; otherwise finds its place among the
    /// idle ones and sets the timer.
    func settle() {
        guard state.phase != .closed else { return }
        if let reason = state.closing, !state.isBlocked, state.phase != .lingering, working == nil,
            stream == nil
        {
            guard needsLinger(reason) else { return close(reason) }
            Socket.shutdownWriting(descriptor)
            state.linger(at: server.loop.now)
            server.evictable.remove(slot)
            hasUnread = true
            discard()
            guard state.phase != .closed else { return }
        }
        if isIdle { parser.shrink() }
        findQueue()
        armTimer()
    }

    /// Finds its place among those that can make room for others.
    func findQueue() {
        let isAtHead = state.phase == .head && state.closing == nil && !state.isBlocked
        guard isIdle || isAtHead else { return server.evictable.remove(slot) }
        let queue: EvictionQueues.Name = place == .reserved ? .reserved : isAtHead ? .head : .idle
        // Who is at a header keeps its place in the order, however many bytes drip in.
        if queue == .idle || server.evictable.queue(of: slot) != queue { server.evictable.append(slot, to: queue) }
        server.connectionBecameEvictable()
    }

    private var deadlines: DeadlineTable {
        place == .reserved ? server.reservedDeadlines : server.deadlines
    }

    /// Whether closing now could destroy the last answer on its way: bytes that nobody has read, or that are still
    /// coming, turn a close into a reset.
    private func needsLinger(_ reason: CloseReason) -> Bool {
        if state.inputEnded { return parser.bufferedBytes > 0 }
        let isInterrupted = reason == .refused || reason == .headTimeout || reason == .bodyTimeout
        return isInterrupted || hasUnread || parser.bufferedBytes > 0
    }

    /// Reads and drops what comes after the last answer, within bounds.
    func discard() {
        let reason = state.closing ?? .refused
        var rounds = 4
        while hasUnread {
            guard rounds > 0 else { return yieldTurn() }
            rounds -= 1
            let outcome = Socket.receive(descriptor, into: &server.input, max: server.input.count)
            switch outcome {
            case .bytes(let count) where count > 0:
                lingerBytes += count
                if lingerBytes > server.configuration.maxLingerBytes { return close(reason) }
            case .wouldBlock:
                hasUnread = false
            case .bytes, .failed:
                return close(reason)
            }
        }
    }

    /// Closes at once. The first reason that was decided is the one that counts.
    func close(_ reason: CloseReason, aborting: Bool = false) {
        guard state.phase != .closed else { return }
        state.closed()
        timer.cancel()
        if let registration { server.loop.deregister(registration) }
        registration = nil
        if aborting { Socket.abort(descriptor) } else { Socket.close(descriptor) }
        parser = RequestParser(limits: parser.limits)
        output = PendingOutput()
        // The handler's work is for nobody now.
        task?.cancel()
        task = nil
        stream?.close(reason)
        reportStream(cutOff: reason)
        server.connectionClosed(self, reason)
    }

    /// The server is shutting down: a request that has arrived is answered, and without one this ends now.
    func drain() {
        guard isIdle else { return }
        hasUnread = true
        goOn()
        if isIdle { close(.drained) }
    }

    // MARK: Time

    func armTimer() {
        guard let deadline = state.deadline(deadlines), timer.isTooLate(for: deadline) else { return }
        timer.set(for: deadline) { [self] in timerFired() }
    }

    private func timerFired() {
        timer.fired()
        guard let deadline = state.deadline(deadlines) else { return }
        guard deadline <= server.loop.now else { return armTimer() }
        switch state.expiry {
        case .close(let reason): close(reason)
        case .abort(let reason): close(reason, aborting: true)
        case .answerTimeout(let reason):
            let status = HTTPResponse.Status.requestTimeout
            refuse(nil, ErrorBody.response(status, "The request did not arrive in time."), reason)
            flush()
            settle()
        }
    }
}
