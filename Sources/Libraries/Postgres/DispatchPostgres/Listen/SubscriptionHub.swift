import DispatchLoop
import PostgresSession

/// Keeps one connection listening for all of a pool's subscriptions, and finds the next one when it ends.
///
/// ```
///   idle ── first subscriber ──▶ wanting ── connection ──▶ listening
///    ▲                            ▲   │ refused            │  │
///    │                            │   └─▶ (until the pool  │  │ connection ended,
///    │                            │        is up, or 1 s)  │  │ generation retired
///    │                            └────────────────────────┼──┘
///    └────────────── last subscriber has gone ─────────────┘
///   from anywhere ──▶ closed
/// ```
@LoopActor
final class SubscriptionHub {
    private enum State {
        /// Nobody subscribes; holds nothing.
        case idle
        /// A connection is asked for, or will be when the timer fires or the pool is up.
        case wanting(WaiterID?, TimerID?)
        /// `commands` are still to be run on the connection, in order; one is running if it is not idle.
        case listening(PostgresPool.Leased, generation: UInt32)
        case closed
    }

    /// A subscriber, and whether it has been told that it listens.
    private struct Subscriber {
        let buffer: SubscriptionBuffer
        var isListening = false
    }

    /// How long after a refusal the next try is, if the pool does not come up before.
    private static let retryInterval = Duration.seconds(1)

    private unowned let pool: PostgresPool
    private let loop = EventLoop.shared
    private var state = State.idle
    private var channels: [String: [UInt64: Subscriber]] = [:]
    private var nextSubscriber: UInt64 = 0
    private var commands: [Command] = []
    private var lostAt: MonotonicTime?
    private var keepalive: TimerID?

    private enum Command {
        case listen(String)
        case unlisten(String)
        case check

        var statement: Statement {
            switch self {
            case .listen(let channel): Statement("listen \(SubscriptionHub.quoted(channel))")
            case .unlisten(let channel): Statement("unlisten \(SubscriptionHub.quoted(channel))")
            case .check: .roundTrip
            }
        }
    }

    init(pool: PostgresPool) {
        self.pool = pool
    }

    // MARK: Subscribers

    func subscribe(to channel: String) throws(PostgresError) -> Subscription {
        // Longer names are cut off by the server (NAMEDATALEN − 1), and the notifications come under another name.
        guard (1...63).contains(channel.utf8.count), !channel.utf8.contains(0) else {
            throw PostgresError(
                code: "42602", message: "a channel's name has 1 to 63 bytes, none of them zero",
                disposition: .statement, wasNeverSent: true)
        }
        let buffer = SubscriptionBuffer()
        nextSubscriber += 1
        let number = nextSubscriber
        let isNew = channels[channel] == nil
        channels[channel, default: [:]][number] = Subscriber(buffer: buffer)
        switch state {
        case .idle: want()
        case .listening where isNew: run(.listen(channel))
        case .listening: run(.listen(channel))  // Confirms it to the newcomer; the server does not mind.
        case .wanting: break
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
        if channels.isEmpty { releaseSession(.idle) } else { run(.unlisten(channel)) }
    }

    /// The pool is being closed: all sequences end.
    func close() {
        releaseSession(.closed)
        for subscriber in channels.values.flatMap(\.values) { subscriber.buffer.finish() }
        channels = [:]
    }

    // MARK: The connection

    private func want() {
        var isSettled = false
        let waiter = pool.request(deadline: .distantFuture) { answer in
            isSettled = true
            switch answer {
            case .success(let leased): self.begin(on: leased)
            case .failure(let error): self.refused(error)
            }
        }
        if !isSettled { state = .wanting(waiter, nil) }
    }

    private func refused(_ error: PoolError) {
        if case .closed = state { return }
        guard error.kind != .closed else {
            close()
            return
        }
        wantLater()
    }

    private func wantLater() {
        state = .wanting(nil, loop.schedule(at: loop.now + Self.retryInterval) { [weak self] in self?.want() })
    }

    private func begin(on leased: PostgresPool.Leased) {
        guard !channels.isEmpty else {
            pool.giveBack(leased)
            return
        }
        state = .listening(leased, generation: pool.generation)
        pool.pin(leased.id)
        leased.connection.onNotification = { [weak self] in self?.deliver($0) }
        commands = channels.keys.map(Command.listen)
        runNext()
        armKeepalive()
    }

    /// A connection of the pool has ended; perhaps it was ours.
    func connectionEnded(_ id: ConnectionID) {
        guard case .listening(let leased, _) = state, leased.id == id else { return }
        forgetConnection()
        if lostAt == nil { lostAt = loop.now }
        want()
    }

    func healthChanged(to health: DatabaseState) {
        switch (state, health) {
        case (.wanting(nil, let timer), .up):
            if let timer { loop.cancel(timer) }
            // Not from within the pool's performing.
            state = .wanting(nil, nil)
            loop.submit { [weak self] in
                if case .wanting(nil, nil) = self?.state { self?.want() }
            }
        case (.listening(let leased, let generation), .up) where generation != pool.generation:
            // It may listen to a server that has become the wrong one.
            loop.submit { [weak pool] in pool?.discard(leased.id, .retired) }
        case (.listening, .suspect): run(.check)
        default: break
        }
    }

    private func releaseSession(_ next: State) {
        let previous = state
        forgetConnection()
        state = next
        lostAt = nil
        switch previous {
        case .wanting(let waiter, let timer):
            if let waiter { pool.takeBack(waiter) }
            if let timer { loop.cancel(timer) }
        case .listening(let leased, _): pool.discard(leased.id, .unsubscribed)
        case .idle, .closed: break
        }
    }

    private func forgetConnection() {
        if case .listening(let leased, _) = state { leased.connection.onNotification = nil }
        if let keepalive { loop.cancel(keepalive) }
        keepalive = nil
        commands = []
        state = .idle
    }

    // MARK: What runs on it

    private func run(_ command: Command) {
        guard case .listening = state else { return }
        commands.append(command)
        runNext()
    }

    private func runNext() {
        guard case .listening(let leased, _) = state, leased.connection.isIdle, let command = commands.first else {
            return
        }
        commands.removeFirst()
        let deadline = loop.now + pool.patience
        leased.connection.start(command.statement, deadline: deadline) { [weak self] result in
            guard let self else { return }
            if leased.connection.isClosed {
                if case .failure(let error) = result { pool.ended(leased.id, error) }
                return
            }
            pool.recordReply(leased.id)
            switch (command, result) {
            case (.listen(let channel), .success): confirmed(channel)
            case (.listen, .failure):
                // A standby takes no LISTEN, and some proxies do not. Another connection may.
                if lostAt == nil { lostAt = loop.now }
                forgetConnection()
                wantLater()
                pool.discard(leased.id, .unsubscribed)
                return
            default: break
            }
            runNext()
        }
    }

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
        let isLast = !commands.contains { if case .listen = $0 { true } else { false } }
        if isLast { lostAt = nil }
    }

    private func deliver(_ notification: Notification) {
        for subscriber in (channels[notification.channel] ?? [:]).values where subscriber.isListening {
            subscriber.buffer.push(.notification(notification))
        }
    }

    /// A connection on which nothing is sent may be dead for long without anyone noticing.
    private func armKeepalive() {
        guard let interval = pool.settings.keepalive else { return }
        keepalive = loop.schedule(at: loop.now + interval) { [weak self] in
            self?.run(.check)
            self?.armKeepalive()
        }
    }

    private nonisolated static func quoted(_ channel: String) -> String {
        "\"" + channel.replacing("\"", with: "\"\"") + "\""
    }
}
