import DispatchLoop
import HTTP1

/// Where a connection stands, and until when. Pure: told what happened and when, it says what is due.
///
/// ```
/// idle ─bytes→ head ─header whole→ body ─body whole→ working ─answered→ idle (or head, body: pipelined)
///                                            └─streaming answer→ streaming ─ended→ idle (or head, body: pipelined)
/// idle, head, body, working ─last answer decided (`closing`)→ … all sent → lingering → closed
/// any ─reset, forced→ closed
/// ```
/// Holds: at most one request is in work. Every phase but `working` and `streaming`, whose handlers have their own
/// deadlines, has one, and so has output that waits.
struct ConnectionState {
    enum Phase: Equatable {
        /// No byte of the next request is here.
        case idle
        /// A part of a request's header is here.
        case head
        /// A request's header is here, its body is not.
        case body
        /// A handler has the request.
        case working
        /// The head of a streaming answer has been given, and its body goes on.
        case streaming
        /// All is sent and our side is closed; what the client still sends is read and dropped, since closing with
        /// unread bytes would reset the connection and destroy the answer on its way (RFC 9112 §9.6).
        case lingering
        case closed
    }

    /// What to do when the deadline has passed.
    enum Expiry: Equatable {
        /// Close without a word.
        case close(ConnectionCloseReason)
        /// RouteResult 408 and close.
        case answerTimeout(ConnectionCloseReason)
        /// Throw the unsent bytes away and close.
        case abort(ConnectionCloseReason)
    }

    private(set) var phase = Phase.idle
    /// When the phase began.
    private(set) var since: MonotonicTime
    /// When bytes of a body came last.
    private var progress: MonotonicTime
    /// Whether a request has been answered.
    private(set) var hasServed = false
    /// Since when output waits for the client, and when it took some last.
    private var blockedSince: MonotonicTime?
    private var blockedProgress: MonotonicTime
    /// The client has closed its side: no further request, but those that came are answered.
    var receivedEOF = false
    /// The last answer has been decided; why the connection closes once it is sent.
    private(set) var closing: ConnectionCloseReason?
    /// Once the server leaves: the connection closes after this many nanoseconds without a request.
    private var grace: Int64?

    init(at now: MonotonicTime) {
        since = now
        progress = now
        blockedProgress = now
    }

    var isBlocked: Bool { blockedSince != nil }

    /// Whether the next request may be looked at.
    var takesRequests: Bool {
        closing == nil && !isBlocked && (phase == .idle || phase == .head || phase == .body)
    }

    /// Bytes came and all whole requests among them have been taken: this is left of the next one.
    mutating func received(_ rest: RequestParser.Progress, at now: MonotonicTime) {
        guard phase == .idle || phase == .head || phase == .body else { return }
        progress = now
        switch rest {
        // Empty lines before a first request, which are no request, do not prolong its time.
        case .idle: enter(.idle, at: hasServed ? now : since)
        case .head: enter(.head, at: now)
        case .body: enter(.body, at: now)
        }
    }

    /// A whole request has come and is being answered.
    mutating func began(at now: MonotonicTime) {
        phase = .working
        since = now
    }

    /// The request in work is being answered bit by bit.
    mutating func streams() {
        if phase == .working { phase = .streaming }
    }

    /// The request in work has been answered. A deadline of a later request counts from now, not from when its first
    /// bytes came: they had to wait.
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

    /// All output is sent. The idle time begins now, so that a slow reader has all of it for its next request.
    mutating func outputSent(at now: MonotonicTime) {
        guard blockedSince != nil else { return }
        blockedSince = nil
        if phase == .idle { since = now }
    }

    /// The answer that was decided is the last one. The first reason stays.
    mutating func close(after reason: ConnectionCloseReason) {
        if closing == nil { closing = reason }
    }

    /// The server leaves. A client that has asked a moment ago may be sending its next request, so the connection waits for
    /// it, and the answer tells the client. A client that has been idle for longer than `grace` is not waited for.
    mutating func leaves(grace: Int64) { self.grace = grace }

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

    /// When something is due unless something happens before.
    func deadline(_ timeouts: TimeoutNanoseconds) -> MonotonicTime? {
        if let blockedSince {
            return min(
                blockedProgress.advanced(byNanoseconds: timeouts.writeStall),
                blockedSince.advanced(byNanoseconds: timeouts.write))
        }
        switch phase {
        case .idle: return since.advanced(byNanoseconds: min(timeouts.idle, grace ?? .max))
        case .head: return since.advanced(byNanoseconds: timeouts.head)
        case .body:
            return min(
                progress.advanced(byNanoseconds: timeouts.bodyStall), since.advanced(byNanoseconds: timeouts.body))
        case .lingering: return since.advanced(byNanoseconds: timeouts.linger)
        case .working, .streaming, .closed: return nil
        }
    }

    /// What is due once the deadline has passed.
    var expiry: Expiry {
        if isBlocked { return .abort(.writeTimeout) }
        switch phase {
        case .idle: return .close(grace == nil ? .idleTimeout : .drained)
        case .head: return .answerTimeout(.headTimeout)
        case .body: return .answerTimeout(.bodyTimeout)
        case .lingering, .working, .streaming, .closed: return .close(closing ?? .answered)
        }
    }
}

/// The timeouts in nanoseconds: they are added to the time with every request, and `Duration` counts attoseconds in 128
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
