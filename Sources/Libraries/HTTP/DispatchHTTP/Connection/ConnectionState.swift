import DispatchLoop
import HTTP1

/// A connection's phase and its deadline, as a value. Its inputs are events with their times.
///
/// ```
/// idle ─bytes→ head ─header complete→ body ─body complete→ working ─answered→ idle (or head, body: pipelined)
///                                                             └─stream→ streaming ─ended→ idle (or head, body)
/// idle, head, body, working ─last response decided (`closing`)→ … all sent → lingering → closed
/// any ─reset, forced→ closed
/// ```
/// Invariants: the connection handles at most one request at a time. Waiting output has a deadline, and so does every
/// phase but `working` and `streaming`, whose handlers have their own.
struct ConnectionState {
    enum Phase: Equatable {
        /// No byte of the next request has arrived.
        case idle
        /// A part of a request's header has arrived.
        case head
        /// A request's header has arrived; its body is incomplete.
        case body
        /// A handler works on the request.
        case working
        /// The head of a streaming response has been sent; its body is incomplete.
        case streaming
        /// Everything is sent and our side is closed. The connection reads and drops the client's bytes, because a
        /// close with unread bytes would reset the connection and destroy the last response (RFC 9112 §9.6).
        case lingering
        case closed
    }

    private(set) var phase = Phase.idle
    /// When the phase began.
    private(set) var since: MonotonicTime
    /// The time of the latest bytes of a body.
    private var progress: MonotonicTime
    /// Whether a request has been answered.
    private(set) var hasServed = false
    /// When output began to wait for the client, and when the client last took some.
    private var blockedSince: MonotonicTime?
    private var blockedProgress: MonotonicTime
    /// Whether the client has closed its side. It sends no further request; those received get their responses.
    var receivedEOF = false
    /// Why the connection closes once the last response is sent; `nil` until that is decided.
    private(set) var closing: ConnectionCloseReason?
    /// The grace period in nanoseconds and its start, once the server is shutting down.
    private var leaving: (grace: Int64, since: MonotonicTime)?

    init(at now: MonotonicTime) {
        since = now
        progress = now
        blockedProgress = now
    }

    var isBlocked: Bool { blockedSince != nil }

    /// Whether the connection takes the next request.
    var takesRequests: Bool {
        closing == nil && !isBlocked && (phase == .idle || phase == .head || phase == .body)
    }

    /// Bytes arrived, and all complete requests among them have been taken. `rest` is the progress of the next one.
    mutating func received(_ rest: RequestParser.Progress, at now: MonotonicTime) {
        guard phase == .idle || phase == .head || phase == .body else { return }
        progress = now
        switch rest {
        // Empty lines before the first request do not count as a request and do not extend the idle time.
        case .idle: enter(.idle, at: hasServed ? now : since)
        case .head: enter(.head, at: now)
        case .body: enter(.body, at: now)
        }
    }

    /// A request is complete, and a handler works on it.
    mutating func began(at now: MonotonicTime) {
        phase = .working
        since = now
    }

    /// The response to the current request is a stream.
    mutating func streams() {
        if phase == .working { phase = .streaming }
    }

    /// The response is complete. The deadline of a request that arrived before that counts from now, because it had to
    /// wait.
    mutating func answered(at now: MonotonicTime) {
        hasServed = true
        guard phase == .working || phase == .streaming else { return }
        phase = .idle
        since = now
    }

    /// The client takes no more output.
    mutating func outputBlocked(at now: MonotonicTime) {
        if blockedSince == nil { blockedSince = now }
        blockedProgress = now
    }

    /// All output is sent. The idle time begins now, so a slow reader has all of it for its next request.
    mutating func outputSent(at now: MonotonicTime) {
        guard blockedSince != nil else { return }
        blockedSince = nil
        if phase == .idle { since = now }
    }

    /// Makes the current response the last one. The first reason wins.
    mutating func close(after reason: ConnectionCloseReason) {
        if closing == nil { closing = reason }
    }

    /// The server shuts down. A client that has just received a response may be sending its next request, so an idle
    /// connection waits until it has been idle for `grace`; the response then announces the close. A request whose
    /// header is incomplete has `grace` from now, so that one slow client does not delay the shutdown.
    mutating func leave(grace: Int64, at now: MonotonicTime) { leaving = (grace, now) }

    mutating func linger(at now: MonotonicTime) {
        phase = .lingering
        since = now
    }

    mutating func closed() { phase = .closed }

    private mutating func enter(_ next: Phase, at time: MonotonicTime) {
        if phase == next, next != .idle { return }
        phase = next
        since = time
    }

    /// The time of the next `expiry`, unless an event comes first.
    func deadline(_ timeouts: TimeoutNanoseconds) -> MonotonicTime? {
        if let blockedSince {
            return min(
                blockedProgress.advanced(byNanoseconds: timeouts.writeStall),
                blockedSince.advanced(byNanoseconds: timeouts.write))
        }
        switch phase {
        case .idle: return since.advanced(byNanoseconds: min(timeouts.idle, leaving?.grace ?? .max))
        case .head:
            let due = since.advanced(byNanoseconds: timeouts.head)
            guard let leaving else { return due }
            return min(due, max(since, leaving.since).advanced(byNanoseconds: leaving.grace))
        case .body:
            return min(
                progress.advanced(byNanoseconds: timeouts.bodyStall), since.advanced(byNanoseconds: timeouts.body))
        case .lingering: return since.advanced(byNanoseconds: timeouts.linger)
        case .working, .streaming, .closed: return nil
        }
    }

    /// The action once the deadline has passed.
    var expiry: ConnectionMachine.Expiry {
        if isBlocked { return .abort(.writeTimeout) }
        switch phase {
        case .idle: return .close(leaving == nil ? .idleTimeout : .drained)
        case .head: return .answerTimeout(leaving == nil ? .headTimeout : .drained)
        case .body: return .answerTimeout(.bodyTimeout)
        case .lingering, .working, .streaming, .closed: return .close(closing ?? .answered)
        }
    }
}

/// The timeouts in nanoseconds. Each request adds them to points in time, and `Duration` counts attoseconds in 128
/// bits.
struct TimeoutNanoseconds {
    var head, bodyStall, body, idle, writeStall, write, linger, drainGrace: Int64

    init(_ timeouts: ServerConfiguration.Timeouts) {
        head = timeouts.head.nanoseconds
        bodyStall = timeouts.bodyStall.nanoseconds
        body = timeouts.body.nanoseconds
        idle = timeouts.idle.nanoseconds
        writeStall = timeouts.writeStall.nanoseconds
        write = timeouts.write.nanoseconds
        linger = timeouts.linger.nanoseconds
        drainGrace = timeouts.drainGrace.nanoseconds
    }
}
