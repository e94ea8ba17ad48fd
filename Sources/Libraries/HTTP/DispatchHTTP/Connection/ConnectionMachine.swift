internal import DispatchLoop
internal import HTTP1
internal import HTTPTypes

/// The server side of one HTTP/1 connection, as a value. It has no socket, clock or handler, so tests drive it with
/// bytes and times alone.
///
/// The driver (``Connection``) reports events: `readable`, `received`, `answered`, `wrote`, `leave` and so on. After
/// each it performs the actions that `next` returns until `next` returns `wait`, and calls `timedOut` when `deadline`
/// has passed.
///
/// ```
/// wait ─readable→ read ─bytes→ handle ─answered→ (handle …) write ─written→ read … wait
///                    │             └─last answer decided→ write ─written→ halfClose → discard … close
///                    └─refused→ refuse → write → halfClose → discard … close
/// ```
///
/// Invariants:
/// - The machine handles one request at a time, and parses the next one after the response to this one.
/// - The machine reads nothing while responses wait for the client to read them (back-pressure).
/// - The machine writes everything that is collected before it reads, waits or closes.
/// - The machine takes no request after the response that says `Connection: close` (RFC 9112 §9.6).
struct ConnectionMachine {
    enum Action {
        /// Respond to this request; report with `answered`, at once or later.
        case handle(RequestHead)
        /// Collect `100 Continue`.
        case sendContinue
        /// Collect the response to input that is not a valid request. It is the last response.
        case refuse(HTTP1Error)
        /// Send the collected output; report with `wrote`.
        case write
        /// Read up to this many bytes; report with `received`, `receivedEnd` or `receivedNothing`.
        case read(Int)
        /// Read and drop bytes; report in the same way.
        case discard
        /// Give other connections their turn; report with `turnCame`.
        case yield
        /// Half-close: shut down the sending side. The machine then drops input until the client closes, because a
        /// close with unread bytes resets the connection and destroys the last response on its way (RFC 9112 §9.6).
        case halfClose
        /// Close.
        case close(ConnectionCloseReason)
        /// Wait for the next event.
        case wait
    }

    private(set) var state: ConnectionState
    private var parser: RequestParser
    private let maxLingerBytes: Int
    private var lingerBytes = 0
    /// Whether the socket may have bytes to read.
    private var hasUnread = false
    /// Whether the kernel has reported that the client closed its side. Reads continue until they reach the end.
    private var endIsAnnounced = false
    /// Whether the parser needs more bytes than have arrived.
    private var lacksInput = true
    /// Whether collected responses have not been written yet.
    private var hasCollected = false
    /// Whether the response waits for the end of the loop's round. Until then, `next` returns `wait`.
    private var isHeldBack = false
    /// Whether this connection waits for the other connections' turn.
    private var isYielding = false
    /// The requests and reads left in this turn.
    private var requestsLeft: Int32 = 0
    private var readsLeft: Int32 = 0
    /// Whether the server is shutting down, so that the next response is the last one.
    private var isLeaving: Bool

    /// The number of looks at the socket since the deadline passed.
    private var looks: UInt8 = 0

    /// The bound on `looks`.
    private static let mostLooks: UInt8 = 64
    private static let readsPerTurn: Int32 = 4

    init(limits: ParserLimits, maxLingerBytes: Int, isLeaving: Bool = false, at now: MonotonicTime) {
        parser = RequestParser(limits: limits)
        state = ConnectionState(at: now)
        self.maxLingerBytes = maxLingerBytes
        self.isLeaving = isLeaving
    }

    // MARK: State

    var isClosed: Bool { state.phase == .closed }

    /// Whether the connection waits for a request and has received no byte of it.
    var isIdle: Bool {
        state.phase == .idle && state.closing == nil && !state.isBlocked && !isYielding && !isHeldBack
    }

    /// Whether the connection has a part of a request's header and does nothing else.
    var isAtHead: Bool { state.phase == .head && state.closing == nil && !state.isBlocked }

    /// Whether a handler works on a request, or its response streams.
    var isAnswering: Bool { state.phase == .working || state.phase == .streaming }

    /// Whether the client's end may be all that is left to read. The driver then looks before it responds, because the
    /// last response announces the close.
    var mayBeAtEnd: Bool { endIsAnnounced && !state.receivedEOF }

    /// Whether a response may wait for the end of the loop's round.
    var mayHoldBack: Bool { state.closing == nil && !state.isBlocked }

    /// Whether the rejected input is a `HEAD` request, whose response has no body (RFC 9110 §9.3.2).
    var isHeadMethod: Bool { parser.isHeadMethod }

    /// Whether the parser holds no bytes.
    var hasNoBufferedBytes: Bool { parser.bufferedBytes == 0 }

    // MARK: Events of the socket

    /// The socket has bytes, the end or an error.
    mutating func readable() { hasUnread = true }

    /// The kernel has reported that the client closed its side; unread bytes may precede the end.
    ///
    /// - Returns: whether the client has left. Browsers end a stream by closing. A client that had closed its side
    ///   before the stream began still reads it.
    mutating func endAnnounced() -> Bool {
        defer { endIsAnnounced = true }
        return state.phase == .streaming && !endIsAnnounced
    }

    /// `bytes` were read; the read allowed `size`.
    @inline(__always)
    mutating func received(_ bytes: ArraySlice<UInt8>, of size: Int) {
        if state.phase == .lingering {
            lingerBytes += bytes.count
            return
        }
        parser.append(bytes)
        lacksInput = false
        // A short read means that the kernel has no more; it reports new bytes. It does not report the end a second
        // time.
        if bytes.count < size, !endIsAnnounced { hasUnread = false }
    }

    /// A read, or a look, has found the client's end.
    mutating func receivedEnd() {
        hasUnread = false
        state.receivedEOF = true
    }

    mutating func receivedNothing() { hasUnread = false }

    /// The kernel has taken all pending output, or, if `all` is false, a part of it.
    mutating func wrote(all: Bool, at now: MonotonicTime) {
        hasCollected = false
        if all { state.outputSent(at: now) } else { state.outputBlocked(at: now) }
    }

    /// The collected response was queued behind output that is already waiting.
    mutating func queued() { hasCollected = false }

    mutating func closed() {
        state.closed()
        parser = RequestParser(limits: parser.limits)
    }

    // MARK: Events of the handler

    /// Decides whether the response to `request` is the last one on the connection (RFC 9112 §9.3, §9.6).
    ///
    /// - Parameter closes: whether the response, or the connection's reserved place, requires that.
    mutating func frame(answerTo request: RequestHead, closes: Bool) -> ResponseSerializer.Connection {
        hasCollected = true
        guard state.closing == nil else { return .closes }
        let noneFollow = state.receivedEOF && parser.bufferedBytes == 0
        if !request.keepAlive || request.method == .connect || noneFollow {
            state.close(after: noneFollow ? .clientClosed : .requested)
        } else if closes {
            state.close(after: .answered)
        } else if isLeaving {
            // Even if more requests have been read: otherwise a client that pipelines without a pause would never learn
            // it. The client knows that the server has not processed any later request, and can send those elsewhere.
            state.close(after: .drained)
        } else {
            return request.version == .http10 ? .persistsForHTTP10 : .persists
        }
        return .closes
    }

    /// Decides the same for a response of unknown length, and whether it is chunked. Without chunks the close of the
    /// connection ends the body (RFC 9112 §6.3 (8)).
    mutating func frame(
        streamTo request: RequestHead, closes: Bool
    ) -> (connection: ResponseSerializer.Connection, isChunked: Bool) {
        let isChunked = request.version == .http11
        let connection = frame(answerTo: request, closes: closes)
        guard !isChunked, connection == .persistsForHTTP10 else { return (connection, isChunked) }
        state.close(after: .answered)
        return (.closes, isChunked)
    }

    /// The whole response has been collected.
    mutating func answered(at now: MonotonicTime) {
        state.answered(at: now)
        lacksInput = false
    }

    /// The head of a streaming response has been collected.
    mutating func streams() { state.streams() }

    /// The collected response waits for the end of the round, to be sent together with those of other connections.
    mutating func holdBack() {
        isHeldBack = true
        hasCollected = false
    }

    /// The round has ended, and the driver sends the response.
    mutating func sendsNow() { isHeldBack = false }

    // MARK: Events of the server

    /// The other connections have had their turn.
    mutating func turnCame() { isYielding = false }

    /// A turn begins, with at most this many requests.
    mutating func beginTurn(requests: Int) {
        requestsLeft = Int32(clamping: requests)
        readsLeft = Self.readsPerTurn
    }

    /// Makes the next response, or the collected one, the last one, for a reason other than the request.
    mutating func close(after reason: ConnectionCloseReason) { state.close(after: reason) }

    /// The driver collects the last response, to input that is not a valid request.
    mutating func refuse(_ reason: ConnectionCloseReason) {
        state.close(after: reason)
        hasCollected = true
    }

    /// The server is about to shut down, so the next response says `Connection: close`.
    mutating func announceLeaving() { isLeaving = true }

    /// The server shuts down. The connection closes after this many nanoseconds without a whole request header.
    mutating func leave(grace: Int64, at now: MonotonicTime) {
        isLeaving = true
        state.leave(grace: grace, at: now)
    }

    /// Yields the turn outside of `next`.
    ///
    /// - Returns: `false` if the connection has yielded already.
    mutating func yieldTurn() -> Bool {
        defer { isYielding = true }
        return !isYielding
    }

    /// Frees the parser's buffer of an idle connection.
    mutating func shrink() { if isIdle { parser.shrink() } }

    // MARK: Actions

    /// The next action. Inlined into the driver's loop, which saves a copy of each request (10,149 instructions for `/`
    /// without, 9,558 with).
    @inline(__always)
    mutating func next(at now: MonotonicTime) -> Action {
        guard !isHeldBack, state.phase != .closed else { return .wait }
        if state.phase == .lingering { return nextLingering() }
        while state.takesRequests, !lacksInput, !isYielding {
            guard requestsLeft > 0 else { return hasCollected ? .write : startYielding() }
            do throws(HTTP1Error) {
                switch try parser.next() {
                case .needsMore:
                    lacksInput = true
                    state.received(parser.progress, at: now)
                case .continueExpected:
                    hasCollected = true
                    return .sendContinue
                case .request(let request):
                    requestsLeft -= 1
                    state.began(at: now)
                    return .handle(request)
                }
            } catch {
                refuse(.refused)
                return .refuse(error)
            }
        }
        if hasCollected { return .write }
        if isYielding { return .wait }
        guard state.takesRequests else { return nextAfterLastAnswer(at: now) }
        if state.receivedEOF {
            // RFC 9112 §8: an incomplete request is dropped; its client has gone.
            state.close(after: parser.progress == .idle ? .clientClosed : .clientClosedEarly)
            return nextAfterLastAnswer(at: now)
        }
        guard hasUnread else { return .wait }
        guard readsLeft > 0 else { return startYielding() }
        readsLeft -= 1
        return .read(parser.room)
    }

    /// The next action of a connection that takes no request.
    private mutating func nextAfterLastAnswer(at now: MonotonicTime) -> Action {
        guard let reason = state.closing, !state.isBlocked, !isAnswering else { return .wait }
        guard needsLinger(reason) else { return .close(reason) }
        state.linger(at: now)
        hasUnread = true
        return .halfClose
    }

    /// Whether a close now could destroy the last response on its way: unread bytes, and bytes that still arrive, turn
    /// a close into a reset (RFC 9112 §9.6).
    private func needsLinger(_ reason: ConnectionCloseReason) -> Bool {
        if state.receivedEOF { return parser.bufferedBytes > 0 }
        switch reason {
        // The client does not know yet, and may be sending its next request.
        case .refused, .headTimeout, .bodyTimeout, .drained: return true
        case .clientClosed, .clientClosedEarly, .reset, .requested, .answered, .overloaded, .idleTimeout,
            .writeTimeout, .streamOverflow, .evicted, .drainForced, .registrationFailed:
            return hasUnread || parser.bufferedBytes > 0
        }
    }

    private mutating func nextLingering() -> Action {
        let reason = state.closing ?? .refused
        if state.receivedEOF && !hasUnread || lingerBytes > maxLingerBytes { return .close(reason) }
        guard hasUnread, !isYielding else { return .wait }
        guard readsLeft > 0 else { return startYielding() }
        readsLeft -= 1
        return .discard
    }

    private mutating func startYielding() -> Action {
        isYielding = true
        return .yield
    }

    // MARK: Time

    /// When `timedOut` is due, unless an event comes first.
    func deadline(_ timeouts: TimeoutNanoseconds) -> MonotonicTime? { state.deadline(timeouts) }

    /// Whether the deadline has passed.
    func isDue(_ timeouts: TimeoutNanoseconds, at now: MonotonicTime) -> Bool {
        guard let deadline = state.deadline(timeouts) else { return false }
        return deadline <= now
    }

    /// The action at a deadline.
    enum Expiry: Equatable {
        /// Nothing. The deadline has moved.
        case none
        /// Look at the socket and ask again. The process may have been stopped while the bytes arrived in time.
        case look
        /// Look again after the other connections' turn, because one turn does not allow more reads.
        case lookLater
        /// Close without a response.
        case close(ConnectionCloseReason)
        /// Respond with 408 and close.
        case answerTimeout(ConnectionCloseReason)
        /// Discard the unsent bytes and close.
        case abort(ConnectionCloseReason)
    }

    /// The action after the timer has fired, and after each look that this asked for.
    mutating func timedOut(_ timeouts: TimeoutNanoseconds, at now: MonotonicTime) -> Expiry {
        guard isDue(timeouts, at: now) else {
            looks = 0
            return .none
        }
        let mayHaveMore = looks == 0 || isYielding || isHeldBack
        // The bound covers the kernel's buffer of one connection. Only a client that keeps sending exceeds it.
        if mayHaveMore, looks < Self.mostLooks {
            looks += 1
            if isYielding || isHeldBack { return .lookLater }
            hasUnread = true
            return .look
        }
        looks = 0
        return state.expiry
    }

    /// Makes the next read try the socket although the kernel has reported nothing.
    mutating func look() { hasUnread = true }
}
