internal import DispatchLoop
internal import Glibc
internal import HTTP1
internal import HTTPTypes

/// One client's connection: a socket, its registration, buffers, and the task that works on an answer. It reports events to
/// ``ConnectionMachine`` and performs the machine's actions; it decides nothing itself.
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
    private(set) var quota: ConnectionQuota.Kind
    let server: HTTPServer
    var registration: Registration?
    var machine: ConnectionMachine
    /// What the kernel would not take. Empty nearly always: answers are collected in a buffer that all connections
    /// share, and are gone at the end of the event.
    var output = PendingOutput()
    /// Whether the loop reports when the kernel takes more output.
    var wantsWrite = false
    var timer = DeadlineTimer()
    /// The handler that works on an answer, and its request.
    var task: Task<Void, Never>?
    var activeRequest: RequestHead?
    var activeSince: MonotonicTime
    /// The streaming answer that runs.
    var stream: BodyStream?
    /// Whether a caller further up the stack performs the machine's actions.
    private(set) var isActing = false

    init(slot: Int, descriptor: Int32, peer: PeerAddress, quota: ConnectionQuota.Kind, server: HTTPServer) {
        self.slot = slot
        self.descriptor = descriptor
        self.peer = peer
        self.quota = quota
        self.server = server
        machine = ConnectionMachine(
            limits: server.configuration.limits, maxLingerBytes: server.configuration.maxLingerBytes,
            isLeaving: server.isDraining, at: server.loop.now)
        activeSince = server.loop.now
        if server.hasLeft { beginLeaving() }
    }

    func start() {
        do throws(SystemCallError) {
            registration = try server.loop.register(descriptor, for: .read, trigger: .edge) { [self] in ready($0) }
            updateEvictionQueue()
            armTimer()
        } catch {
            close(.registrationFailed)
        }
    }

    var isAnswering: Bool { activeRequest != nil || stream != nil }

    /// Its place is a reserved one; asking moves it to an ordinary one if there is one by now.
    func isOnReserve() -> Bool {
        if quota == .reserved, server.promoteFromReserve() { quota = .general }
        return quota == .reserved
    }

    private func ready(_ readiness: Readiness) {
        guard !machine.isClosed else { return }
        // Nothing that is still to be read or answered would arrive.
        if readiness.contains(.error), Socket.pendingError(descriptor) != 0 { return close(.reset) }
        if readiness.contains(.hangup), machine.endAnnounced() { return close(.clientClosed) }
        if readiness.contains(.writable), machine.state.isBlocked { sendPending() }
        if !readiness.isDisjoint(with: [.readable, .hangup, .error]) { machine.readable() }
        resume()
    }

    /// Performs all actions that are possible now, updates the eviction queues, and arms the timer.
    func resume() {
        guard !isActing, !machine.isClosed else { return }
        isActing = true
        machine.beginTurn(requests: server.requestsPerTurn)
        act()
        isActing = false
        guard !machine.isClosed else { return }
        machine.shrink()
        updateEvictionQueue()
        armTimer()
    }

    private func act() {
        while true {
            switch machine.next(at: server.loop.now) {
            case .handle(let request):
                respond(to: request)
                if server.output.count > server.configuration.maxPendingOutput { flush() }
            case .sendContinue: server.output += ResponseSerializer.continueInterim
            case .refuse(let error): collect(refusal: ErrorBody.response(error.status, error.reason), error)
            case .write: flush()
            case .read(let size): read(size)
            case .discard: read(server.input.count)
            case .halfClose: Socket.shutdownWriting(descriptor)
            case .close(let reason): return close(reason)
            case .yield: return awaitTurn()
            case .wait: return
            }
        }
    }

    /// Goes on once all others have had their turn. From within somebody else's event.
    func yieldTurn() {
        if machine.yieldTurn() { awaitTurn() }
    }

    /// Timers that are due already come after the next look at the sockets.
    private func awaitTurn() {
        server.yielding += 1
        _ = server.loop.schedule(at: server.loop.now) { [self] in
            server.yielding -= 1
            machine.turnCame()
            resume()
        }
    }

    private func read(_ room: Int) {
        let size = min(room, server.input.count)
        // A read of nothing would look like the client's end. The parser has room whenever it needs more.
        precondition(size > 0, "daruma: no room to read into")
        switch Socket.receive(descriptor, into: &server.input, max: size) {
        case .bytes(0): machine.receivedEnd()
        case .bytes(let count):
            machine.received(server.input[..<count], of: size)
            if count < size { checkForEOF() }
        case .wouldBlock: machine.receivedNothing()
        case .failed: close(.reset)
        }
    }

    /// Looks whether the reported end is all that is left to read. The answer to the last request can then say that it is
    /// the last one.
    func checkForEOF() {
        if machine.mayBeAtEnd, Socket.isAtEnd(descriptor) { machine.receivedEnd() }
    }
}
