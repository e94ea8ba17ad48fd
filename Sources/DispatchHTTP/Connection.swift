internal import DispatchLoop
internal import Glibc
internal import HTTP1
internal import HTTPTypes

/// One client's connection: reads, asks the parser, answers in order, writes. What is due when is `ConnectionState`'s
/// business, what the bytes mean the parser's.
///
/// Its memory is bounded: at most twice `ParserLimits.buffered` of input (50 KiB by default), and output of
/// `maxPendingOutput` (64 KiB) and one answer beyond it. Idle, it is about 1 KiB.
@LoopActor
final class Connection {
    let slot: Int
    private let descriptor: Int32
    private let server: HTTPServer
    private var registration: Registration?
    private var parser: RequestParser
    private(set) var state: ConnectionState
    /// What the kernel would not take, from `pendingStart` on. Empty nearly always: answers are collected in a buffer
    /// that all connections share, and are gone at the end of the event.
    private var pending: [UInt8] = []
    private var pendingStart = 0
    private var wantsWrite = false
    /// Something may be there to be read that was not read because the client has to be slowed down.
    private var hasUnread = false
    /// The kernel has said that the client closed its side: reading has to go on until the end is seen.
    private var seesEnd = false
    private var lingerBytes = 0
    private var timer: TimerID?
    private var timerDeadline = MonotonicTime.distantFuture
    private var task: Task<Void, Never>?
    private var working: RequestHead?
    private var workingSince: MonotonicTime
    private var isProcessing = false

    init(slot: Int, descriptor: Int32, server: HTTPServer) {
        self.slot = slot
        self.descriptor = descriptor
        self.server = server
        parser = RequestParser(limits: server.configuration.limits)
        state = ConnectionState(at: server.loop.now)
        workingSince = server.loop.now
    }

    func start() {
        do throws(SystemCallError) {
            registration = try server.loop.register(descriptor, for: .read, trigger: .edge) { [self] in ready($0) }
            server.idle.append(slot)
            armTimer()
        } catch {
            close(.registrationFailed)
        }
    }

    var isIdle: Bool { state.phase == .idle && state.closing == nil && !state.isBlocked }

    // MARK: Events

    private func ready(_ readiness: Readiness) {
        guard state.phase != .closed else { return }
        if readiness.contains(.error) {
            // Nothing that is still to be read or answered would arrive.
            if Socket.pendingError(descriptor) != 0 { return close(.reset) }
        }
        if readiness.contains(.hangup) { seesEnd = true }
        if readiness.contains(.writable), state.isBlocked { sendPending() }
        if !readiness.isDisjoint(with: [.readable, .hangup, .error]) { hasUnread = true }
        goOn()
    }

    /// Does all that can be done now: takes requests from what is here, reads more, sends, and arms the timer.
    private func goOn() {
        var rounds = 4
        process()
        while hasUnread, state.phase != .closed {
            if state.phase == .lingering {
                discard()
                break
            }
            guard state.takesRequests, !state.inputEnded else { break }
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

    /// Goes on once others have had their turn.
    private func yieldTurn() {
        server.loop.submit { [self] in if state.phase != .closed { goOn() } }
    }

    private func read() {
        let size = min(parser.room, server.input.count)
        let outcome = server.input.withUnsafeMutableBufferPointer { Socket.receive(descriptor, into: $0, max: size) }
        switch outcome {
        case .bytes(0):
            hasUnread = false
            state.inputEnded = true
        case .bytes(let count):
            server.input.withUnsafeBufferPointer { _ = parser.append(UnsafeBufferPointer(rebasing: $0[..<count])) }
            // Fewer than there was room for: the kernel has no more, and says so when it has. Only the end, which was
            // announced already, would not be announced again.
            if count < size, !seesEnd { hasUnread = false }
        case .wouldBlock:
            hasUnread = false
        case .failed:
            close(.reset)
        }
    }

    /// Takes whole requests and answers them, as long as the answers find room and none has to be waited for.
    private func process() {
        guard !isProcessing, state.takesRequests else { return }
        isProcessing = true
        var lacksInput = false
        do throws(HTTP1Error) {
            while state.takesRequests, !lacksInput {
                switch try parser.next() {
                case .needsMore: lacksInput = true
                case .continueExpected: server.output += ResponseSerializer.continueInterim
                case .request(let request): respond(to: request)
                }
                if server.output.count > server.configuration.maxPendingOutput { flush() }
            }
        } catch {
            server.observer?.refused(error, status: error.status.code)
            refuse(ErrorBody.response(error.status, error.reason), .refused)
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

    // MARK: Answers

    private func respond(to request: RequestHead) {
        state.began(at: server.loop.now)
        switch server.responder.respond(to: request) {
        case .now(let response):
            finish(response, of: request, after: .zero)
        case .later(let operation):
            // Ends the loop over requests, which sends what has been answered before.
            working = request
            workingSince = server.loop.now
            server.idle.remove(slot)
            task = server.loop.task { [self] in
                completed(await operation())
            }
        }
    }

    private func completed(_ response: Response) {
        guard let request = working else { return }
        working = nil
        task = nil
        let duration = server.loop.now - workingSince
        guard state.phase != .closed else {
            server.observer?.abandoned(request, after: duration)
            return
        }
        finish(response, of: request, after: duration)
        if !isProcessing {
            flush()
            goOn()
        }
    }

    private func finish(_ response: Response, of request: RequestHead, after duration: Duration) {
        let noneFollow = state.inputEnded && parser.bufferedBytes == 0
        let connection: ResponseSerializer.Connection
        if !request.keepAlive || request.method == .connect || noneFollow {
            state.close(after: noneFollow ? .clientClosed : .requested)
            connection = .closes
        } else if response.closesConnection {
            state.close(after: .answered)
            connection = .closes
        } else if server.isDraining, parser.bufferedBytes == 0 {
            // Requests that are here already are answered too; this is the last of them.
            state.close(after: .drained)
            connection = .closes
        } else {
            connection = request.version == .http10 ? .persistsForHTTP10 : .persists
        }
        ResponseSerializer.append(
            response, isHead: request.method == .head, connection: connection, date: server.date(),
            to: &server.output)
        state.answered(at: server.loop.now)
        server.answered += 1
        server.observer?.answered(request, status: response.status.code, after: duration)
    }

    /// Answers something that is no request, as the last answer.
    private func refuse(_ response: Response, _ reason: CloseReason) {
        state.close(after: reason)
        ResponseSerializer.append(
            response, isHead: false, connection: .closes, date: server.date(), to: &server.output)
    }

    // MARK: Output

    /// Sends what has been collected for this connection.
    private func flush() {
        guard !server.output.isEmpty else { return }
        if state.isBlocked {
            pending.append(contentsOf: server.output)
            server.releaseOutput()
            return
        }
        let outcome = server.output.withUnsafeBufferPointer { Socket.send(descriptor, $0) }
        switch outcome {
        case .bytes(let count) where count == server.output.count: break
        case .bytes(let count): block(after: count)
        case .wouldBlock: block(after: 0)
        case .failed:
            server.releaseOutput()
            return close(.reset)
        }
        server.releaseOutput()
    }

    private func block(after sent: Int) {
        pending = Array(server.output[sent...])
        pendingStart = 0
        state.outputBlocked(at: server.loop.now)
        server.idle.remove(slot)
        if !wantsWrite, let registration {
            // Stays so: edge-triggered, it costs nothing more.
            wantsWrite = true
            server.loop.modify(registration, for: [.read, .write])
        }
    }

    private func sendPending() {
        let outcome = pending.withUnsafeBufferPointer {
            Socket.send(descriptor, UnsafeBufferPointer(rebasing: $0[pendingStart...]))
        }
        switch outcome {
        case .bytes(let count):
            pendingStart += count
            if pendingStart == pending.count {
                pending = []
                pendingStart = 0
                state.outputSent()
            } else {
                state.outputBlocked(at: server.loop.now)
            }
        case .wouldBlock: break
        case .failed: close(.reset)
        }
    }

    // MARK: The end

    /// At the end of an event: closes if that has been decided and all is sent; otherwise finds its place among the
    /// idle ones and sets the timer.
    private func settle() {
        guard state.phase != .closed else { return }
        if let reason = state.closing, !state.isBlocked, state.phase != .lingering, working == nil {
            guard needsLinger(reason) else { return close(reason) }
            Socket.shutdownWriting(descriptor)
            state.linger(at: server.loop.now)
            server.idle.remove(slot)
            hasUnread = true
            discard()
            guard state.phase != .closed else { return }
        }
        if isIdle {
            parser.shrink()
            server.idle.append(slot)
            server.connectionBecameIdle()
        } else {
            server.idle.remove(slot)
        }
        armTimer()
    }

    /// Whether closing now could destroy the last answer on its way: bytes that nobody has read, or that are still
    /// coming, turn a close into a reset.
    private func needsLinger(_ reason: CloseReason) -> Bool {
        if state.inputEnded { return parser.bufferedBytes > 0 }
        let isInterrupted = reason == .refused || reason == .headTimeout || reason == .bodyTimeout
        return isInterrupted || hasUnread || parser.bufferedBytes > 0
    }

    /// Reads and drops what comes after the last answer, within bounds.
    private func discard() {
        let reason = state.closing ?? .refused
        var rounds = 4
        while hasUnread {
            guard rounds > 0 else { return yieldTurn() }
            rounds -= 1
            let outcome = server.input.withUnsafeMutableBufferPointer {
                Socket.receive(descriptor, into: $0, max: $0.count)
            }
            switch outcome {
            case .bytes(let count) where count > 0:
                lingerBytes += count
                if lingerBytes > server.configuration.maxLingerBytes { return close(reason) }
            case .wouldBlock:
                hasUnread = false
            case .bytes, .failed:
                return close(reason)
            }
        }
    }

    /// Closes at once. The first reason that was decided is the one that counts.
    func close(_ reason: CloseReason, aborting: Bool = false) {
        guard state.phase != .closed else { return }
        state.closed()
        if let timer { server.loop.cancel(timer) }
        timer = nil
        if let registration { server.loop.deregister(registration) }
        registration = nil
        if aborting { Socket.abort(descriptor) } else { Socket.close(descriptor) }
        parser = RequestParser(limits: parser.limits)
        pending = []
        // The handler's work is for nobody now.
        task?.cancel()
        task = nil
        server.connectionClosed(self, reason)
    }

    /// The server is shutting down: a request that has arrived is answered, and without one this ends now.
    func drain() {
        guard isIdle else { return }
        hasUnread = true
        goOn()
        if isIdle { close(.drained) }
    }

    // MARK: Time

    /// One timer, moved as rarely as possible: a deadline that moves later, as with every request, is looked at again
    /// when the old one fires.
    private func armTimer() {
        guard let deadline = state.deadline(server.deadlines) else { return }
        if let timer {
            if timerDeadline <= deadline { return }
            server.loop.cancel(timer)
        }
        timerDeadline = deadline
        timer = server.loop.schedule(at: deadline) { [self] in timerFired() }
    }

    private func timerFired() {
        timer = nil
        guard let deadline = state.deadline(server.deadlines) else { return }
        guard deadline <= server.loop.now else { return armTimer() }
        switch state.expiry {
        case .close(let reason): close(reason)
        case .abort(let reason): close(reason, aborting: true)
        case .answerTimeout(let reason):
            let status = HTTPResponse.Status.requestTimeout
            server.observer?.refused(nil, status: status.code)
            refuse(ErrorBody.response(status, "The request did not arrive in time."), reason)
            flush()
            settle()
        }
    }
}
