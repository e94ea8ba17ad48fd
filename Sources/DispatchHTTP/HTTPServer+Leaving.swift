public import DispatchLoop

// How the server leaves. What is due when says `ServerDrain`.
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

    /// Whether `drain` has begun: nothing is accepted any more.
    var hasLeft: Bool { leaving.isLeaving }

    /// Says from now on with each answer that it is the last one of its connection (`Connection: close`, RFC 9112 §9.6),
    /// and serves on, new connections included: who asks again does so on a new connection, which a load balancer can
    /// send elsewhere. To be followed by ``drain(deadline:)``, which then finds nobody that does not know.
    public func announceDrain() {
        guard leaving.announce() else { return }
        for connection in connections { connection.machine.announceLeaving() }
    }

    /// Leaves: accepts no more, answers what is in flight with `Connection: close`, closes each connection that is quiet
    /// for ``ServerConfiguration/Timeouts/drainGrace`` – at once if it has been already – and, at the deadline, the rest.
    ///
    /// Connections that the kernel has completed but nobody has accepted are accepted first, and a request that comes
    /// on an idle connection within the grace is answered: neither client can know that it comes too late.
    public func drain(deadline: MonotonicTime) async -> DrainReport {
        let answeredBefore = answered
        announceDrain()
        // Not from within a connection's event: the buffers are in use.
        loop.submit { [self] in beginLeaving(by: deadline) }
        let timer = loop.schedule(at: deadline) { [self] in endAll() }
        await withCheckedContinuation { continuation in
            drainWaiters.append(continuation)
            // The drain may have been and gone: an `await` may let others run before this.
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
        // Streams first: they have no end of their own, and those who write to them should know at once.
        for connection in all where connection.stream != nil {
            connection.perform(leaving.verdictAtStart(on: connection.doing))
        }
        for connection in all where !connection.machine.isClosed {
            connection.perform(leaving.verdictAtStart(on: connection.doing))
        }
        finishDrainingIfEmpty()
    }

    /// The deadline: what has arrived is still taken, since the process may have been stopped meanwhile; then all ends.
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
