internal import DispatchLoop
internal import Glibc
internal import HTTP1
internal import HTTPTypes

/// One client's connection: reads, asks the parser, answers in order, writes. What is due when is `ConnectionState`'s
/// business, what the bytes mean the parser's.
///
/// Its memory is bounded: at most twice `ParserLimits.buffered` of input (50 KiB by default), and output of
/// `maxPendingOutput` (64 KiB) and one answer beyond it. Idle, it is about 1 KiB.
///
/// Events and reading are here, answering in `Connection+Answers`, streaming in `Connection+Stream`, writing in
/// `Connection+Output`, the end and the clock in `Connection+End`.
@LoopActor
final class Connection {
    let slot: Int
    let descriptor: Int32
    let peer: PeerAddress
    private(set) var place: Places.Kind
    let server: HTTPServer
    var registration: Registration?
    var parser: RequestParser
    var state: ConnectionState
    /// What the kernel would not take. Empty nearly always: answers are collected in a buffer that all connections
    /// share, and are gone at the end of the event.
    var output = PendingOutput()
    var wantsWrite = false
    /// Something may be there to be read that was not read because the client has to be slowed down.
    var hasUnread = false
    /// The kernel has said that the client closed its side: reading has to go on until the end is seen.
    private var seesEnd = false
    var lingerBytes = 0
    var timer = DeadlineTimer()
    /// The handler that works on an answer, and its request.
    var task: Task<Void, Never>?
    var working: RequestHead?
    var workingSince: MonotonicTime
    /// The streaming answer that runs.
    var stream: BodyStream?
    var isProcessing = false
    /// An answer is to be sent at the end of this round; until then nothing else is done.
    var waitsForEndOfRound = false
    /// Others have their turn before this one goes on.
    private var isYielding = false
    /// How many requests may still be answered before others have their turn.
    private var turn = 0

    init(slot: Int, descriptor: Int32, peer: PeerAddress, place: Places.Kind, server: HTTPServer) {
        self.slot = slot
        self.descriptor = descriptor
        self.peer = peer
        self.place = place
        self.server = server
        parser = RequestParser(limits: server.configuration.limits)
        state = ConnectionState(at: server.loop.now)
        workingSince = server.loop.now
    }

    func start() {
        do throws(SystemCallError) {
            registration = try server.loop.register(descriptor, for: .read, trigger: .edge) { [self] in ready($0) }
            findQueue()
            armTimer()
        } catch {
            close(.registrationFailed)
        }
    }

    var isAnswering: Bool { working != nil || stream != nil }

    /// Whether the next request is awaited and no byte of it is here.
    var isIdle: Bool {
        state.phase == .idle && state.closing == nil && !state.isBlocked && !isYielding && !waitsForEndOfRound
    }

    /// Its place is a reserved one; asking moves it to an ordinary one if there is one by now.
    func isOnReserve() -> Bool {
        if place == .reserved, server.promoteFromReserve() { place = .ordinary }
        return place == .reserved
    }

    // MARK: Events

    private func ready(_ readiness: Readiness) {
        guard state.phase != .closed else { return }
        if readiness.contains(.error) {
            // Nothing that is still to be read or answered would arrive.
            if Socket.pendingError(descriptor) != 0 { return close(.reset) }
        }
        if readiness.contains(.hangup) {
            // Who ends while a stream runs has gone: browsers leave that way. Who had ended before it began reads on.
            if stream != nil, !seesEnd { return close(.clientClosed) }
            seesEnd = true
        }
        if readiness.contains(.writable), state.isBlocked { sendPending() }
        if !readiness.isDisjoint(with: [.readable, .hangup, .error]) { hasUnread = true }
        goOn()
    }

    /// Does all that can be done now: takes requests from what is here, reads more, sends, and arms the timer.
    func goOn() {
        guard state.phase != .closed, !waitsForEndOfRound else { return }
        var rounds = 4
        turn = server.requestsPerTurn
        process()
        while hasUnread, state.phase != .closed {
            if state.phase == .lingering {
                discard()
                break
            }
            guard state.takesRequests, !state.inputEnded, !isYielding else { break }
            guard rounds > 0 else {
                yieldTurn()
                break
            }
            rounds -= 1
            read()
            process()
        }
        settle()
    }

    /// Goes on once all others have had their turn: timers that are due already come after the next look at the sockets.
    func yieldTurn() {
        guard !isYielding else { return }
        isYielding = true
        server.yielding += 1
        _ = server.loop.schedule(at: server.loop.now) { [self] in
            isYielding = false
            server.yielding -= 1
            if state.phase != .closed { goOn() }
        }
    }

    private func read() {
        let size = min(parser.room, server.input.count)
        let outcome = Socket.receive(descriptor, into: &server.input, max: size)
        switch outcome {
        case .bytes(0):
            hasUnread = false
            state.inputEnded = true
        case .bytes(let count):
            parser.append(server.input[..<count])
            guard count < size else { return }
            // Fewer than there was room for: the kernel has no more, and says so when it has. Only the end, which was
            // announced already, would not be announced again.
            if seesEnd { noteEnd() } else { hasUnread = false }
        case .wouldBlock:
            hasUnread = false
        case .failed:
            close(.reset)
        }
    }

    /// Looks whether the end that has been announced is all that is left to be read, so that the answer to the last
    /// request can say that it is the last one.
    func noteEnd() {
        guard seesEnd, !state.inputEnded, Socket.isAtEnd(descriptor) else { return }
        hasUnread = false
        state.inputEnded = true
    }

    /// Takes whole requests and answers them, as long as the answers find room and none has to be waited for.
    private func process() {
        guard !isProcessing, state.takesRequests else { return }
        isProcessing = true
        var lacksInput = false
        do throws(HTTP1Error) {
            while state.takesRequests, !lacksInput {
                guard turn > 0 else {
                    yieldTurn()
                    break
                }
                switch try parser.next() {
                case .needsMore: lacksInput = true
                case .continueExpected: server.output += ResponseSerializer.continueInterim
                case .request(let request):
                    turn -= 1
                    respond(to: request)
                }
                if server.output.count > server.configuration.maxPendingOutput { flush() }
            }
        } catch {
            refuse(error, ErrorBody.response(error.status, error.reason), .refused)
        }
        isProcessing = false
        if state.phase != .closed { flush() }
        guard state.phase != .closed, lacksInput, state.takesRequests else { return }
        state.received(parser.progress, at: server.loop.now)
        if state.inputEnded {
            // RFC 9112 §8: a request that ends in the middle is dropped; its client has gone.
            state.close(after: parser.progress == .idle ? .clientClosed : .clientClosedEarly)
        } else if server.isDraining, state.phase == .idle, !hasUnread {
            state.close(after: .drained)
        }
    }
}
