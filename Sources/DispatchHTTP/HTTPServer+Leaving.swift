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
    /// so that ``drain(deadline:)`` later finds no client that has not been told.
    public func announceDrain() {
        guard leaving.announce() else { return }
        for connection in connections { connection.machine.announceLeaving() }
    }

    /// Shuts the server down: stops accepting, answers requests in flight with `Connection: close`, closes each connection
    /// that has been idle for ``ServerConfiguration/Timeouts/drainGrace``, and closes the rest at the deadline.
    ///
    /// The server first accepts the connections in the kernel's backlog, and answers a request that arrives on an idle
    /// connection within the grace, because neither client can know that it comes too late.
    public func drain(deadline: MonotonicTime) async -> DrainReport {
        let answeredBefore = answered
        announceDrain()
        // Not from within a connection's event: the buffers are in use.
        loop.submit { [self] in beginLeaving(by: deadline) }
        let timer = loop.schedule(at: deadline) { [self] in endAll() }
        await withCheckedContinuation { continuation in
            drainWaiters.append(continuation)
            // The drain may be over already: other work of the loop may run before this `await` continues.
            if leaving.stage == .left { finishDraining() }
        }
        loop.cancel(timer)
        return DrainReport(answered: answered - answeredBefore, forced: leaving.forced)
    }

    private func beginLeaving(by deadline: MonotonicTime) {
        guard leaving.leave(by: deadline) else { return }
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
    private func endAll() {
        for connection in connections { connection.look() }
        for connection in connections { connection.perform(leaving.verdictAtDeadline(on: connection.doing)) }
        finishDraining()
    }

    func finishDrainingIfEmpty() {
        if leaving.connections(connectionCount) { finishDraining() }
    }

    private func finishDraining() {
        let waiters = drainWaiters
        drainWaiters = []
        for waiter in waiters { waiter.resume() }
    }
}
