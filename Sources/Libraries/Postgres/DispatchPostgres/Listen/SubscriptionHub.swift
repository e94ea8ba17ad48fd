import DispatchLoop
import PostgresSession

/// Keeps one session listening for all subscriptions of a pool, and replaces it when it ends or reaches its lifetime.
///
/// ```
///   idle ── first subscriber ──▶ waiting ── connection ──▶ listening ⟲ handover
///    ▲                            ▲   │ no connection        │  │
///    │                            │   └─▶ backing off ──┐    │  │ session ended, LISTEN refused,
///    │                            │       pool is up,   │    │  │ generation retired
///    │                            └────── or timer ─────┴────┼──┘
///    └────────────── last subscriber gone ───────────────────┘
///   any state ──▶ closed
/// ```
///
/// `SubscriptionHub+Handover.swift` replaces a session at the end of its lifetime.
@LoopActor
final class SubscriptionHub {
    enum State {
        /// No subscribers and no session.
        case idle
        /// Waits for a connection of the pool.
        case waiting(WaiterID?)
        /// Requests a connection when the timer fires or the pool is up.
        case backingOff(TimerID?)
        case listening(ListeningSession)
        case closed
    }

    /// A subscriber, and whether it has received `listening`.
    struct Subscriber {
        let buffer: SubscriptionBuffer
        var isListening = false
    }

    /// The wait after the first refusal; it doubles with each further one, up to a maximum.
    static let retryInterval = Duration.seconds(1)
    static let longestRetryInterval = Duration.seconds(30)

    unowned let pool: PostgresPool
    let loop = EventLoop.shared
    var state = State.idle
    private(set) var channels: [String: [UInt64: Subscriber]] = [:]
    private var nextSubscriber: UInt64 = 0
    /// LISTENs that the session has not confirmed yet.
    private var pendingListens = 0
    /// When the previous session was lost; set until its successor has confirmed all channels.
    private var lostAt: MonotonicTime?
    /// The number of times that the server has refused LISTEN since it last accepted one.
    var refusals = 0
    private var maintenance: TimerID?
    /// The replacement of the listening session, while it is under way.
    var handover: Handover?
    /// No handover before this time.
    var handoverBlockedUntil = MonotonicTime(nanoseconds: .min)

    init(pool: PostgresPool) {
        self.pool = pool
    }

    // MARK: Subscribers

    func subscribe(to channel: String) throws(PostgresError) -> Subscription {
        // The server truncates longer names (NAMEDATALEN − 1) and sends notifications under the short one.
        guard (1...63).contains(channel.utf8.count), !channel.utf8.contains(0) else {
            throw PostgresError(
                code: "42602", message: "a channel's name has 1 to 63 bytes, none of them zero",
                disposition: .statement, wasNeverSent: true)
        }
        let buffer = SubscriptionBuffer()
        nextSubscriber += 1
        let number = nextSubscriber
        channels[channel, default: [:]][number] = Subscriber(buffer: buffer)
        switch state {
        case .idle: requestSession()
        case .waiting, .backingOff: break
        case .listening(let session):
            if handover?.successor != nil { cancelHandover() }
            // Repeats LISTEN for a known channel, which is harmless, to confirm it to the new subscriber.
            listen(channel, on: session)
        case .closed: buffer.finish()
        }
        return Subscription(channel: channel, buffer: buffer) { [weak self] in
            EventLoop.shared.submit { self?.unsubscribe(number, from: channel) }
        }
    }

    private func unsubscribe(_ number: UInt64, from channel: String) {
        guard let subscriber = channels[channel]?.removeValue(forKey: number) else { return }
        subscriber.buffer.finish()
        guard channels[channel]?.isEmpty ?? false else { return }
        channels[channel] = nil
        if channels.isEmpty { return releaseSession(.idle) }
        if handover?.successor != nil { cancelHandover() }
        if case .listening(let session) = state { session.unlisten(channel) }
    }

    /// The pool closes: ends all sequences.
    func close() {
        releaseSession(.closed)
        for subscriber in channels.values.flatMap(\.values) { subscriber.buffer.finish() }
        channels = [:]
    }

    // MARK: The session

    private func requestSession() {
        var isSettled = false
        let waiter = pool.request(deadline: .distantFuture) { outcome in
            isSettled = true
            switch outcome {
            case .success(let leased): self.begin(on: leased)
            case .failure(let error): self.noConnection(error)
            }
        }
        if !isSettled { state = .waiting(waiter) }
    }

    private func noConnection(_ error: PoolError) {
        if case .closed = state { return }
        if error.kind == .closed { close() } else { backOff(for: Self.retryInterval) }
    }

    private func backOff(for wait: Duration) {
        state = .backingOff(loop.schedule(at: loop.now + wait) { [weak self] in self?.requestSession() })
    }

    private func begin(on leased: PostgresPool.Leased) {
        if channels.isEmpty { return pool.giveBack(leased) }
        adopt(makeSession(leased))
    }

    func makeSession(_ leased: PostgresPool.Leased) -> ListeningSession {
        ListeningSession(leased, of: pool) { [weak self] in self?.received($1, on: $0) }
    }

    /// Makes this the listening session, which LISTENs on all channels.
    private func adopt(_ session: ListeningSession) {
        state = .listening(session)
        pendingListens = 0
        for channel in channels.keys { listen(channel, on: session) }
        armMaintenance()
    }

    private func listen(_ channel: String, on session: ListeningSession) {
        pendingListens += 1
        session.listen(channel) { [weak self] result in
            switch result {
            case .success: self?.confirmed(channel)
            case .failure(let error): self?.listenRefused(error)
            }
        }
    }

    /// The server refuses LISTEN, as a standby and some poolers do. Another connection may lead to another server.
    private func listenRefused(_ error: PostgresError) {
        guard case .listening(let session) = state else { return }
        loseSession()
        if refusals == 0 {
            for subscriber in channels.values.flatMap(\.values) { subscriber.buffer.push(.gap(.refused(error))) }
        }
        backOff(for: nextRefusalWait())
        pool.discard(session.leased.id, .listenRefused, error)
    }

    func nextRefusalWait() -> Duration {
        refusals += 1
        return min(Self.retryInterval * (1 << min(refusals - 1, 5)), Self.longestRetryInterval)
    }

    /// A connection of the pool has been closed, possibly one of the hub's.
    func sessionClosed(_ id: ConnectionID) {
        if handover?.successor?.leased.id == id { return cancelHandover() }
        guard case .listening(let session) = state, session.leased.id == id else { return }
        let successor = handover?.successor
        let backlog = handover?.backlog ?? []
        if successor != nil { forgetHandover() }
        loseSession()
        guard let successor else { return requestSession() }
        for notification in backlog { publish(notification) }
        successor.awaitedMarker = nil
        adopt(successor)
    }

    func stateChanged(to health: DatabaseState) {
        switch (state, health) {
        case (.backingOff(let timer), .up):
            if let timer { loop.cancel(timer) }
            // Not while the pool performs its actions.
            state = .backingOff(nil)
            loop.submit { [weak self] in
                if case .backingOff(nil) = self?.state { self?.requestSession() }
            }
        case (.listening(let session), .up) where session.generation != pool.generation:
            loop.submit { [weak self] in self?.closeRetired(session) }
        case (.listening(let session), .suspect): session.run(.roundTrip)
        default: break
        }
    }

    /// Closes a session of a retired generation, with a gap: it may be connected to what is now the wrong server.
    private func closeRetired(_ session: ListeningSession) { pool.discard(session.leased.id, .retired) }

    private func releaseSession(_ next: State) {
        let previous = state
        cancelHandover()
        loseSession()
        state = next
        lostAt = nil
        switch previous {
        case .waiting(let waiter): if let waiter { pool.withdraw(waiter) }
        case .backingOff(let timer): if let timer { loop.cancel(timer) }
        case .listening(let session): pool.discard(session.leased.id, .unsubscribed)
        case .idle, .closed: break
        }
    }

    private func loseSession() {
        cancelHandover()
        if case .listening(let session) = state { session.stop() }
        if let maintenance { loop.cancel(maintenance) }
        maintenance = nil
        if lostAt == nil { lostAt = loop.now }
        state = .idle
    }

    // MARK: Maintenance

    /// Schedules the keepalive of the session, or its replacement if that is due first.
    func armMaintenance() {
        if let maintenance { loop.cancel(maintenance) }
        maintenance = nil
        guard case .listening(let session) = state else { return }
        var due = max(pool.expiry(of: session.leased.id) ?? .distantFuture, handoverBlockedUntil)
        if let keepalive = pool.settings.keepalive { due = min(due, loop.now + keepalive) }
        guard due != .distantFuture else { return }
        maintenance = loop.schedule(at: due) { [weak self] in self?.maintain() }
    }

    private func maintain() {
        maintenance = nil
        guard case .listening(let session) = state else { return }
        if session.generation != pool.generation { return closeRetired(session) }
        // A connection that sends nothing may have died unnoticed.
        session.run(.roundTrip)
        if session.isExpired(at: loop.now), handover == nil, loop.now >= handoverBlockedUntil {
            handoverBlockedUntil = loop.now + Self.retryInterval
            beginHandover(from: session)
        }
        armMaintenance()
    }

    // MARK: Delivery

    private func confirmed(_ channel: String) {
        let gap = lostAt.map { loop.now - $0 }
        for (number, subscriber) in channels[channel] ?? [:] {
            if !subscriber.isListening {
                channels[channel]?[number]?.isListening = true
                subscriber.buffer.push(.listening)
            } else if let gap {
                subscriber.buffer.push(.gap(.disconnected(gap)))
            }
        }
        pendingListens -= 1
        guard pendingListens == 0 else { return }
        lostAt = nil
        refusals = 0
    }

    func publish(_ notification: Notification) {
        for subscriber in (channels[notification.channel] ?? [:]).values where subscriber.isListening {
            subscriber.buffer.push(.notification(notification))
        }
    }
}
