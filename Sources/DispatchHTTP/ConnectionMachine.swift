internal import DispatchLoop
internal import HTTP1
internal import HTTPTypes

/// The server's side of one HTTP/1 connection as a value: told what the socket, the handler and the server did, it says
/// what to do next. It has no socket, no clock and no handler, so that all it decides can be tried with bytes and times.
///
/// Whoever drives it tells it what happened (`readable`, `received`, `answered`, `wrote`, `leave` …) and then asks `next`,
/// performs the action, and asks again until there is nothing to do but to wait. Until when, `deadline` says.
///
/// ```
/// wait ─readable→ read ─bytes→ handle ─answered→ (handle …) write ─written→ read … wait
///                    │             └─last answer decided→ write ─written→ halfClose → discard … close
///                    └─refused→ refuse → write → halfClose → discard … close
/// ```
///
/// Holds:
/// - One request at a time is in work, and the next one is not looked at before its answer has been given.
/// - Nothing is read while answers wait for the client: who does not read is not read from.
/// - Everything collected is written before the connection reads, rests or closes.
/// - After the answer that says `Connection: close` no request is taken (RFC 9112 §9.6).
struct ConnectionMachine {
    enum Action {
        /// Answer this request; tell with `answered`, at once or later.
        case handle(RequestHead)
        /// Collect `100 Continue`.
        case sendContinue
        /// Collect the answer to what is no request; it is the last one.
        case refuse(HTTP1Error)
        /// Send what has been collected; tell with `wrote`.
        case write
        /// Read up to so many bytes; tell with `received`, `receivedEnd` or `receivedNothing`.
        case read(Int)
        /// The same for bytes that nobody is interested in.
        case discard
        /// Let others have their turn; tell with `turnCame`.
        case yield
        /// End our side. What still comes is dropped until the client ends its side: closing with unread bytes would
        /// reset the connection and destroy the last answer on its way (RFC 9112 §9.6).
        case halfClose
        /// Close.
        case close(CloseReason)
        /// Nothing can be done before something happens.
        case wait
    }

    private(set) var state: ConnectionState
    private var parser: RequestParser
    private let maxLingerBytes: Int
    private var lingerBytes = 0
    /// Something may be there to be read.
    private var hasUnread = false
    /// The kernel has said that the client closed its side: reading has to go on until the end is seen.
    private var endIsAnnounced = false
    /// The parser has said that it needs more bytes, and none have come since.
    private var lacksInput = true
    /// Something has been collected and not been written.
    private var hasCollected = false
    /// The answer is sent at the end of the loop's round; until then nothing else is done.
    private var isHeldBack = false
    /// Others have their turn before this one goes on.
    private var isYielding = false
    /// How many requests may be answered and how often may be read before others have their turn.
    private var requestsLeft: Int32 = 0
    private var readsLeft: Int32 = 0
    /// The server leaves: the next answer is the last one.
    private var isLeaving: Bool

    /// How often the socket has been looked at since the deadline passed.
    private var looks: UInt8 = 0

    /// How often is looked at most.
    private static let mostLooks: UInt8 = 64
    /// How often is read in one turn.
    private static let readsPerTurn: Int32 = 4

    init(limits: ParserLimits, maxLingerBytes: Int, isLeaving: Bool = false, at now: MonotonicTime) {
        parser = RequestParser(limits: limits)
        state = ConnectionState(at: now)
        self.maxLingerBytes = maxLingerBytes
        self.isLeaving = isLeaving
    }

    // MARK: What it can be asked

    var isClosed: Bool { state.phase == .closed }

    /// Whether the next request is awaited and no byte of it is here.
    var isIdle: Bool {
        state.phase == .idle && state.closing == nil && !state.isBlocked && !isYielding && !isHeldBack
    }

    /// Whether a part of a request's header is here, and nothing else goes on.
    var isAtHead: Bool { state.phase == .head && state.closing == nil && !state.isBlocked }

    /// Whether a handler has the request, or its answer streams.
    var isAnswering: Bool { state.phase == .working || state.phase == .streaming }

    /// Whether the end of what the client sends may be the next thing to be read: worth a look before an answer, which
    /// then can say that it is the last one.
    var mayBeAtEnd: Bool { endIsAnnounced && !state.inputEnded }

    /// Whether an answer may be held back until the end of the loop's round.
    var mayHoldBack: Bool { state.closing == nil && !state.isBlocked }

    /// Whether what is refused now is a `HEAD`, whose answer has no body (RFC 9110 §9.3.2).
    var isReadingHead: Bool { parser.isReadingHead }

    /// Whether nothing that has been read waits to be answered.
    var hasNoBufferedBytes: Bool { parser.bufferedBytes == 0 }

    // MARK: What the socket does

    /// Bytes, the end or an error can be read.
    mutating func readable() { hasUnread = true }

    /// The client has closed its side, behind what is still to be read. Returns whether it has left: browsers end a
    /// stream that way. Who had ended before the stream began reads on.
    mutating func endAnnounced() -> Bool {
        defer { endIsAnnounced = true }
        return state.phase == .streaming && !endIsAnnounced
    }

    /// `bytes` were read where `size` were asked for.
    @inline(__always)
    mutating func received(_ bytes: ArraySlice<UInt8>, of size: Int) {
        if state.phase == .lingering {
            lingerBytes += bytes.count
            return
        }
        parser.append(bytes)
        lacksInput = false
        // Fewer than there was room for: the kernel has no more, and says so when it has. Only the end, which was
        // announced already, would not be announced again.
        if bytes.count < size, !endIsAnnounced { hasUnread = false }
    }

    /// The client's end was read, or seen.
    mutating func receivedEnd() {
        hasUnread = false
        state.inputEnded = true
    }

    mutating func receivedNothing() { hasUnread = false }

    /// All that was collected, or that waited, has been taken by the kernel – or some of it, and the rest waits.
    mutating func wrote(all: Bool, at now: MonotonicTime) {
        hasCollected = false
        if all { state.outputSent(at: now) } else { state.outputBlocked(at: now) }
    }

    /// What was collected waits behind what the client has not taken yet.
    mutating func queued() { hasCollected = false }

    mutating func closed() {
        state.closed()
        parser = RequestParser(limits: parser.limits)
    }

    // MARK: What the handler does

    /// Decides whether the answer that is to be collected is the last one on the connection (RFC 9112 §9.3, §9.6).
    ///
    /// - Parameter closes: whether the answer, or the place of the connection, wants it to be.
    mutating func frame(answerTo request: RequestHead, closes: Bool) -> ResponseSerializer.Connection {
        hasCollected = true
        guard state.closing == nil else { return .closes }
        let noneFollow = state.inputEnded && parser.bufferedBytes == 0
        if !request.keepAlive || request.method == .connect || noneFollow {
            state.close(after: noneFollow ? .clientClosed : .requested)
        } else if closes {
            state.close(after: .answered)
        } else if isLeaving {
            // However much is here already: who sends without a pause would never be told, and who is told knows that
            // nothing behind this has been looked at and can ask elsewhere.
            state.close(after: .drained)
        } else {
            return request.version == .http10 ? .persistsForHTTP10 : .persists
        }
        return .closes
    }

    /// The same for an answer whose end is not known yet, and whether its pieces are chunks. Without chunks the end of
    /// the connection is the end of the body: RFC 9112 §6.3 (8).
    mutating func frame(
        streamTo request: RequestHead, closes: Bool
    ) -> (connection: ResponseSerializer.Connection, isChunked: Bool) {
        let isChunked = request.version == .http11
        let connection = frame(answerTo: request, closes: closes)
        guard !isChunked, connection == .persistsForHTTP10 else { return (connection, isChunked) }
        state.close(after: .answered)
        return (.closes, isChunked)
    }

    /// The answer has been collected.
    mutating func answered(at now: MonotonicTime) {
        state.answered(at: now)
        lacksInput = false
    }

    /// The head of an answer has been collected whose body goes on.
    mutating func streams() { state.streams() }

    /// What was collected is sent at the end of the round, with others'.
    mutating func holdBack() {
        isHeldBack = true
        hasCollected = false
    }

    /// The round has ended.
    mutating func sendsNow() { isHeldBack = false }

    // MARK: What the server does

    /// Others have had their turn.
    mutating func turnCame() { isYielding = false }

    /// So many requests may be answered before others have their turn.
    mutating func beginTurn(requests: Int) {
        requestsLeft = Int32(clamping: requests)
        readsLeft = Self.readsPerTurn
    }

    /// Something else than a request decides that the answer that is collected next, or has been, is the last one.
    mutating func close(after reason: CloseReason) { state.close(after: reason) }

    /// What is collected now is the last answer, to something that is no request.
    mutating func refuse(_ reason: CloseReason) {
        state.close(after: reason)
        hasCollected = true
    }

    /// The server is about to leave: the next answer says that it is the last one.
    mutating func announceLeaving() { isLeaving = true }

    /// The server leaves: without a request for so many nanoseconds the connection closes.
    mutating func leave(grace: Int64) {
        isLeaving = true
        state.leaves(grace: grace)
    }

    /// Lets others have their turn outside of `next`. `false` if it does so already.
    mutating func yieldTurn() -> Bool {
        defer { isYielding = true }
        return !isYielding
    }

    /// Gives back memory that nothing is in.
    mutating func shrink() { if isIdle { parser.shrink() } }

    // MARK: What to do next

    /// What to do next. Inlined into its one loop: a request is handed on there without being copied once more.
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
        if state.inputEnded {
            // RFC 9112 §8: a request that ends in the middle is dropped; its client has gone.
            state.close(after: parser.progress == .idle ? .clientClosed : .clientClosedEarly)
            return nextAfterLastAnswer(at: now)
        }
        guard hasUnread else { return .wait }
        guard readsLeft > 0 else { return startYielding() }
        readsLeft -= 1
        return .read(parser.room)
    }

    /// What to do when no request is taken any more, or not now.
    private mutating func nextAfterLastAnswer(at now: MonotonicTime) -> Action {
        guard let reason = state.closing, !state.isBlocked, !isAnswering else { return .wait }
        guard needsLinger(reason) else { return .close(reason) }
        state.linger(at: now)
        hasUnread = true
        return .halfClose
    }

    /// Whether closing now could destroy the last answer on its way: bytes that nobody has read, or that are still
    /// coming, turn a close into a reset.
    private func needsLinger(_ reason: CloseReason) -> Bool {
        if state.inputEnded { return parser.bufferedBytes > 0 }
        switch reason {
        // A client that knows of no end may be sending its next request at this moment.
        case .refused, .headTimeout, .bodyTimeout, .drained: return true
        case .clientClosed, .clientClosedEarly, .reset, .requested, .answered, .overloaded, .idleTimeout,
            .writeTimeout, .streamOverflow, .evicted, .drainForced, .registrationFailed:
            return hasUnread || parser.bufferedBytes > 0
        }
    }

    private mutating func nextLingering() -> Action {
        let reason = state.closing ?? .refused
        if state.inputEnded && !hasUnread || lingerBytes > maxLingerBytes { return .close(reason) }
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

    /// When something is due unless something happens before.
    func deadline(_ timeouts: DeadlineTable) -> MonotonicTime? { state.deadline(timeouts) }

    /// Whether the deadline has passed.
    func isDue(_ timeouts: DeadlineTable, at now: MonotonicTime) -> Bool {
        guard let deadline = state.deadline(timeouts) else { return false }
        return deadline <= now
    }

    /// What to do when the deadline has passed.
    enum Expiry: Equatable {
        /// Nothing: it has moved.
        case none
        /// Look at the socket first, and ask again: the process may have been stopped while everything arrived in time.
        case look
        /// Look again once others have had their turn: there was more than one turn takes.
        case lookLater
        /// Close without a word.
        case close(CloseReason)
        /// Answer 408 and close.
        case answerTimeout(CloseReason)
        /// Throw the unsent bytes away and close.
        case abort(CloseReason)
    }

    /// What to do when the timer has fired, or after the look that it asked for.
    mutating func timedOut(_ timeouts: DeadlineTable, at now: MonotonicTime) -> Expiry {
        guard isDue(timeouts, at: now) else {
            looks = 0
            return .none
        }
        let mayHaveMore = looks == 0 || isYielding || isHeldBack
        // As much as the kernel holds for one connection, but not what a client goes on sending.
        if mayHaveMore, looks < Self.mostLooks {
            looks += 1
            if isYielding || isHeldBack { return .lookLater }
            hasUnread = true
            return .look
        }
        looks = 0
        switch state.expiry {
        case .close(let reason): return .close(reason)
        case .abort(let reason): return .abort(reason)
        case .answerTimeout(let reason): return .answerTimeout(reason)
        }
    }

    /// The time for leaving is over, or somebody else wants to know: what has arrived counts.
    mutating func look() { hasUnread = true }
}
