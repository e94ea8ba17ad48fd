internal import DequeModule
internal import DispatchLoop
public import PostgresSession

/// What a subscription receives.
public enum SubscriptionEvent: Sendable, Hashable {
    /// The server has confirmed LISTEN: notifications sent from now on arrive. Comes once; first, unless the server refuses.
    case listening
    /// A notification.
    case notification(Notification)
    /// Notifications may have been lost. Listening has resumed, unless the server refuses it.
    case gap(Gap)

    /// Why notifications may have been lost.
    public enum Gap: Sendable, Hashable {
        /// The connection was lost; another one was listening after this time.
        case disconnected(Duration)
        /// The server refuses LISTEN, as a standby does, so no notification arrives until it accepts. The pool tries again
        /// after 1 s, 2 s … 30 s, and reports only the first refusal. ``disconnected(_:)`` follows when listening resumes, or
        /// ``SubscriptionEvent/listening`` if it never was.
        case refused(PostgresError)
        /// The reader was too slow; this many events were dropped.
        case overflow(Int)
    }
}

/// The notifications of one channel, for one reader, while the object lives.
///
/// It outlives the connection that listens: after an outage it listens on the next one and reports a gap. The sequence
/// ends when the pool is closed or the reader's task is cancelled.
///
/// ```swift
/// let news = try await pool.subscribe(to: "news")
/// for await event in news { … }
/// ```
public final class Subscription: AsyncSequence, Sendable {
    /// An event.
    public typealias Element = SubscriptionEvent

    /// The channel's name.
    public let channel: String
    let buffer: SubscriptionBuffer
    private let end: @Sendable () -> Void

    init(channel: String, buffer: SubscriptionBuffer, end: @escaping @Sendable () -> Void) {
        self.channel = channel
        self.buffer = buffer
        self.end = end
    }

    deinit { end() }

    /// Reads the subscription. One reader at a time: a second one ends the first.
    public func makeAsyncIterator() -> Iterator { Iterator(subscription: self) }

    /// Reads a subscription and keeps it alive.
    public struct Iterator: AsyncIteratorProtocol {
        let subscription: Subscription

        /// The next event; `nil` at the end.
        public mutating func next() async -> SubscriptionEvent? { await subscription.buffer.next() }
    }
}

/// Events that have not been read. Bounded: a slow reader loses the oldest, and learns how many.
@LoopActor
final class SubscriptionBuffer {
    nonisolated static let limit = 1_000

    private var events: Deque<SubscriptionEvent> = []
    private var dropped = 0
    private var reader: CheckedContinuation<SubscriptionEvent?, Never>?
    private var isFinished = false

    nonisolated init() {}

    func push(_ event: SubscriptionEvent) {
        guard !isFinished else { return }
        if let reader {
            self.reader = nil
            reader.resume(returning: event)
            return
        }
        if events.count == Self.limit {
            events.removeFirst()
            dropped += 1
        }
        events.append(event)
    }

    func finish() {
        isFinished = true
        reader?.resume(returning: nil)
        reader = nil
    }

    func next() async -> SubscriptionEvent? {
        if dropped > 0 {
            defer { dropped = 0 }
            return .gap(.overflow(dropped))
        }
        if let event = events.popFirst() { return event }
        if isFinished { return nil }
        return await withTaskCancellationHandler { @LoopActor in
            await withCheckedContinuation { continuation in
                reader?.resume(returning: nil)
                reader = continuation
                if Task.isCancelled { stopReading() }
            }
        } onCancel: {
            EventLoop.shared.submit { self.stopReading() }
        }
    }

    private func stopReading() {
        reader?.resume(returning: nil)
        reader = nil
    }
}
