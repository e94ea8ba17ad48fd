public import DispatchLoop

// The server's shutdown: performs the decisions of ``ServerDrain``.
extension HTTPServer {
    /// The result of a shutdown.
    public struct DrainReport: Sendable, Equatable {
        /// The number of requests answered since the drain began.
        public var answered: Int
        /// The number of connections closed at the deadline with a request unanswered.
        public var forced: Int

        /// Creates a report.
        public init(answered: Int, forced: Int) {
            self.answered = answered
            self.forced = forced
        }
    }

    /// Whether the server accepts no more connections, because the drain's delay is over.
    var hasLeft: Bool { leaving.isLeaving }

    /// Makes each response from now on say `Connection: close` (RFC 9112 §9.6). The server still accepts and serves
    /// connections. A client then sends its next request over a new connection, which a load balancer can send
    /// elsewhere, so that no client still expects a persistent connection when
    /// ``drain(delay:deadline:stopsAccepting:)`` runs.
    public func announceDrain() {
        guard leaving.announce() else { return }
        for connection in connections { connection.machine.announceLeaving() }
    }

    /// Shuts the server down. For the delay it continues to serve, with `Connection: close` in each response. Then it
    /// stops accepting, answers requests in flight, closes each connection that has been idle, or has had an incomplete
    /// header, for ``ServerConfiguration/Timeouts/drainGrace``, and closes the rest at the deadline.
    ///
    /// The server first accepts the connections in the kernel's backlog, and answers a request that arrives on an idle
    /// connection within the grace period, because neither client can know that it is too late.
    ///
    /// - Parameters:
    ///   - delay: how long the server still accepts connections, so that load balancers notice. A second call can
    ///     shorten it.
    ///   - deadline: when the remaining connections close.
    ///   - stopsAccepting: called when the delay is over.
    public func drain(
        delay: Duration = .zero, deadline: MonotonicTime, stopsAccepting: @escaping @LoopActor () -> Void = {}
    ) async -> DrainReport {
        let answeredBefore = answered
        announceDrain()
        leaving.drain(from: loop.now + delay, by: deadline)
        if leaving.isLeaving { stopsAccepting() } else { leavingHandlers.append(stopsAccepting) }
        // Not from within a connection's event, which uses the shared buffers.
        loop.submit { [self] in takeDrainSteps() }
        await withCheckedContinuation { continuation in
            drainWaiters.append(continuation)
            // The drain may be over already, because other work of the loop can run before this `await`.
            if leaving.stage == .left { finishDraining() }
        }
        return DrainReport(answered: answered - answeredBefore, forced: forced)
    }

    private func takeDrainSteps() {
        while let step = leaving.step(at: loop.now) {
            switch step {
            case .leave: beginLeaving()
            case .forceRest: forceRest()
            }
        }
        cancelDrainTimer()
        drainTimer = leaving.nextStep.map { [self] due in
            loop.schedule(at: due) { [self] in takeDrainSteps() }
        }
    }

    private func beginLeaving() {
        for handler in leavingHandlers { handler() }
        leavingHandlers = []
        stopListening()
        let all = connections
        for connection in all { connection.beginLeaving() }
        // Streams come first: they never end on their own, and their writers must learn of the shutdown at once.
        for connection in all where connection.stream != nil {
            connection.perform(leaving.verdictAtStart(on: connection.doing))
        }
        for connection in all where !connection.machine.isClosed {
            connection.perform(leaving.verdictAtStart(on: connection.doing))
        }
        finishDrainingIfEmpty()
    }

    /// The deadline has passed. Reads requests that have arrived, because the process may have been stopped, then
    /// closes all connections.
    private func forceRest() {
        for connection in connections { connection.look() }
        for connection in connections {
            let verdict = leaving.verdictAtDeadline(on: connection.doing)
            if verdict == .force { forced += 1 }
            connection.perform(verdict)
        }
        finishDraining()
    }

    func finishDrainingIfEmpty() {
        if leaving.connections(connectionCount) { finishDraining() }
    }

    private func finishDraining() {
        cancelDrainTimer()
        let waiters = drainWaiters
        drainWaiters = []
        for waiter in waiters { waiter.resume() }
    }

    private func cancelDrainTimer() {
        if let drainTimer { loop.cancel(drainTimer) }
        drainTimer = nil
    }
}
