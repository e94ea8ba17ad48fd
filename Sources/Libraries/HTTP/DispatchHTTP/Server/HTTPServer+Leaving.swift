public import DispatchLoop

// The server's shutdown: performs what ``ServerDrain`` decides.
extension HTTPServer {
    /// What became of the connections when the server left.
    public struct DrainReport: Sendable, Equatable {
        /// Requests answered since the drain began.
        public var answered: Int
        /// Connections closed by force, because they were not done at the deadline.
        public var forced: Int

        /// A report.
        public init(answered: Int, forced: Int) {
            self.answered = answered
            self.forced = forced
        }
    }

    /// Whether `drain` has begun, so that the server accepts no more connections.
    var hasLeft: Bool { leaving.isLeaving }

    /// Makes each answer from now on say `Connection: close` (RFC 9112 §9.6). The server still accepts and serves
    /// connections. A client then sends its next request over a new connection, which a load balancer can send elsewhere,
    /// so that ``drain(delay:deadline:stopsAccepting:)`` later finds no client that has not been told.
    public func announceDrain() {
        guard leaving.announce() else { return }
        for connection in connections { connection.machine.announceLeaving() }
    }

    /// Shuts the server down. For the delay it serves on with `Connection: close` on each answer. Then it stops accepting,
    /// answers requests in flight, closes each connection that has been idle for
    /// ``ServerConfiguration/Timeouts/drainGrace``, and closes the rest at the deadline.
    ///
    /// The server first accepts the connections in the kernel's backlog, and answers a request that arrives on an idle
    /// connection within the grace, because neither client can know that it comes too late.
    ///
    /// - Parameters:
    ///   - delay: how long the server accepts connections after the announcement, so that load balancers notice. A second
    ///     call can shorten it.
    ///   - deadline: when connections close whose requests are not answered by then.
    ///   - stopsAccepting: called when the delay is over.
    public func drain(
        delay: Duration = .zero, deadline: MonotonicTime, stopsAccepting: @escaping @LoopActor () -> Void = {}
    ) async -> DrainReport {
        let answeredBefore = answered
        announceDrain()
        leaving.drain(from: loop.now + delay, by: deadline)
        if leaving.isLeaving { stopsAccepting() } else { leavingHandlers.append(stopsAccepting) }
        // Not from within a connection's event: the buffers are in use.
        loop.submit { [self] in takeDrainSteps() }
        await withCheckedContinuation { continuation in
            drainWaiters.append(continuation)
            // The drain may be over already: other work of the loop may run before this `await` continues.
            if leaving.stage == .left { finishDraining() }
        }
        return DrainReport(answered: answered - answeredBefore, forced: leaving.forced)
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
        // Streams come first, because they have no end of their own and their writers should know at once.
        for connection in all where connection.stream != nil {
            connection.perform(leaving.verdictAtStart(on: connection.doing))
        }
        for connection in all where !connection.machine.isClosed {
            connection.perform(leaving.verdictAtStart(on: connection.doing))
        }
        finishDrainingIfEmpty()
    }

    /// The deadline has passed. Requests that have arrived are still read, because the process may have been stopped
    /// meanwhile; then all connections close.
    private func forceRest() {
        for connection in connections { connection.look() }
        for connection in connections { connection.perform(leaving.verdictAtDeadline(on: connection.doing)) }
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
