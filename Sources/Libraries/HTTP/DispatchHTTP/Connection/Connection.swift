internal import DispatchLoop
internal import Glibc
internal import HTTP1
internal import HTTPTypes

/// One client's connection: a socket, its registration, buffers, and the task that works on a response. It reports
/// events to ``ConnectionMachine`` and performs the machine's actions; it decides nothing itself.
///
/// Its memory is bounded: at most twice `ParserLimits.buffered` of input (50 KiB by default), and `maxPendingOutput`
/// (64 KiB) of output plus one response. An idle connection uses about 1 KiB.
///
/// This file has events and reading, `Connection+Answers` responses, `Connection+Stream` streams, `Connection+Output`
/// writing, `Connection+End` closing and deadlines.
@LoopActor
final class Connection {
    let slot: Int
    let descriptor: Int32
    let peer: PeerAddress
    private(set) var quota: ConnectionQuota.Kind
    let server: HTTPServer
    var registration: Registration?
    var machine: ConnectionMachine
    /// Output that the kernel did not take. Nearly always empty: all connections collect responses in one shared buffer
    /// and send them at the end of the event.
    var output = PendingOutput()
    /// Whether the loop reports writable events.
    var wantsWrite = false
    var timer = DeadlineTimer()
    /// The task that works on a response, and its request.
    var task: Task<Void, Never>?
    var activeRequest: RequestHead?
    var activeSince: MonotonicTime
    /// The running streaming response.
    var stream: BodyStream?
    /// Whether `act` is on the stack.
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
        if server.hasLeft { machine.leave(grace: deadlines.drainGrace, at: server.loop.now) }
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

    /// Whether the connection has a reserved place.
    var isOnReserve: Bool { quota == .reserved }

    /// Moves the connection from a reserved place to a general one if one is free.
    func promoteIfPossible() {
        if isOnReserve, server.promoteFromReserve() { quota = .general }
    }

    private func ready(_ readiness: Readiness) {
        guard !machine.isClosed else { return }
        // No response would reach the client.
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
            case .refuse(let error): collect(refusal: server.errorResponse(error.status, error.reason, [:]), error)
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

    /// Continues after the other connections' turn. May be called from within another connection's event.
    func yieldTurn() {
        if machine.yieldTurn() { awaitTurn() }
    }

    /// A timer that is already due fires after the loop next reads the sockets.
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
        // A read of size 0 would look like the client's end. The parser has room whenever it needs more.
        precondition(size > 0, "DispatchHTTP: no room to read into")
        switch Socket.receive(descriptor, into: &server.input, max: size) {
        case .bytes(0): machine.receivedEnd()
        case .bytes(let count):
            machine.received(server.input[..<count], of: size)
            if count < size { checkForEOF() }
        case .wouldBlock: machine.receivedNothing()
        case .failed: close(.reset)
        }
    }

    /// Checks whether the reported end is all that is left to read. The last response can then announce the close.
    func checkForEOF() {
        if machine.mayBeAtEnd, Socket.isAtEnd(descriptor) { machine.receivedEnd() }
    }
}
