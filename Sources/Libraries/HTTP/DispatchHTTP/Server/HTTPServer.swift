internal import CLinux
public import DispatchLoop
public import HTTP1
internal import HTTPTypes

/// An HTTP/1.1 server on the event loop: listens, accepts, serves connections, and shuts down gracefully.
@LoopActor
public final class HTTPServer {
    /// The settings.
    public let configuration: ServerConfiguration
    /// Receive the server's events, in this order.
    let observers: [any ServerObserver]
    /// Gives each request its id before the handler sees it: the client's or a proxy's, or a new one. The id is in
    /// `RequestHead.id`, and the response returns it as `X-Request-Id`. Called on the loop with each request; an id of
    /// up to 15 bytes costs no allocation. Without this closure requests have no id.
    public var requestIdentifier: (@LoopActor (RequestHead) -> String)?

    let loop = EventLoop.shared
    let responder: any Responder
    let errorResponse: ErrorResponse
    /// The response on a reserved place to everything but health checks.
    let overloaded: Response
    let deadlines: TimeoutNanoseconds
    /// The timeouts of connections on reserved places.
    let reservedDeadlines: TimeoutNanoseconds
    /// The connections that can be evicted.
    var evictable = EvictionQueues()
    /// The input buffer, shared by all connections.
    var input = [UInt8](repeating: 0, count: 65_536)
    /// The responses of one event of one connection; empty between events.
    var output: [UInt8] = []
    /// Responses held back until the end of the round, and those being sent; empty between rounds.
    private var batch = ResponseBatch()
    private var sending = ResponseBatch()
    /// The chunk line of the current piece of a stream.
    var frame: [UInt8] = []
    /// The number of connections that wait for their next turn although they could continue.
    var yielding = 0
    /// The number of requests answered so far.
    public internal(set) var answered = 0
    /// Whether the server is shutting down, or is about to, so that each response says `Connection: close`.
    public var isDraining: Bool { leaving.isAnnounced }

    /// The state of the shutdown, the number of connections closed by force, the timer of the next step, the closures
    /// to call when accepting stops, and the callers that wait for the end.
    var leaving = ServerDrain()
    var forced = 0
    var drainTimer: TimerID?
    var leavingHandlers: [@LoopActor () -> Void] = []
    var drainWaiters: [CheckedContinuation<Void, Never>] = []

    private(set) var listeners: [Listener] = []
    private var table = ConnectionTable()
    private var quotas: ConnectionQuota
    /// The `Date` field of the current second.
    private var cachedDate: (seconds: Int, line: [UInt8]) = (.min, [])
    /// Whether accepting waits for a place.
    private var isAcceptPaused = false
    private var pauseTimer: TimerID?
    private var memoryTimer: TimerID?

    /// The most connections accepted at a time.
    private static let acceptBatch = 64
    /// The approximate number of requests per round of all connections that want more than their share.
    private static let requestsPerRound = 512
    /// The time after a peak before its memory is freed.
    private static let trimDelay = Duration.seconds(5)
    /// The most candidates examined for one eviction.
    private static let evictionTries = 32
    /// How long accepting pauses when descriptors or memory are exhausted.
    private static let acceptPause = Duration.milliseconds(100)

    /// Creates a server that answers requests with `responder`. It keeps `observers` alive; they receive its events in
    /// this order.
    public init(
        configuration: ServerConfiguration, responder: any Responder, observers: [any ServerObserver] = []
    ) {
        self.configuration = configuration
        self.responder = responder
        self.observers = observers
        deadlines = TimeoutNanoseconds(configuration.timeouts)
        reservedDeadlines = TimeoutNanoseconds(configuration.timeouts.onReservedPlace)
        errorResponse = configuration.errorResponse
        // RFC 9110 §15.6.4.
        overloaded = errorResponse(
            .serviceUnavailable, "All connections are in use; try again soon.", [.retryAfter: "1"]
        ).prepared()
        quotas = ConnectionQuota(general: configuration.maxConnections, reserved: configuration.reservedConnections)
    }

    // MARK: Listening

    /// Starts to listen. Blocks while getaddrinfo(3) looks up a host name.
    ///
    /// - Parameter descriptors: Listening sockets from a service manager, which the server then owns. Without any, it
    ///   opens ``ServerConfiguration/host`` and ``ServerConfiguration/port``.
    /// - Returns: The addresses, with the port that the kernel chose for port 0.
    /// - Throws: `ListenError`, which names the address and a remedy. The server then listens on none.
    @discardableResult
    public func start(adopting descriptors: [Int32] = []) throws(ListenError) -> [SocketAddress] {
        guard listeners.isEmpty else { return addresses }
        let opened = descriptors.isEmpty ? try Listener.open(configuration) : try Listener.adopt(descriptors)
        for listener in opened {
            do throws(SystemCallError) {
                listener.registration = try loop.register(listener.descriptor, for: .read, trigger: .edge) {
                    [weak self, listener] _ in
                    self?.accept(on: listener)
                }
            } catch {
                for listener in opened { listener.close(loop) }
                throw ListenError(listener.address, errno: error.errno)
            }
        }
        listeners = opened
        return addresses
    }

    /// The addresses on which the server listens.
    public var addresses: [SocketAddress] { listeners.map(\.address) }

    /// The number of open connections.
    public var connectionCount: Int { quotas.count }

    /// The number of connections on reserved places.
    package var reservedCount: Int { quotas.reservedTaken }

    /// The number of connections that wait for their next request.
    public var idleCount: Int { evictable.count(.idle) }

    /// The number of connections that have sent a part of a request's header.
    package var headCount: Int { evictable.count(.head) }

    /// The number of requests being answered, streams included. Iterates over all connections.
    public var activeCount: Int { table.connections.count { $0.isAnswering } }

    var connections: [Connection] { table.connections }

    private func accept(on listener: Listener) {
        guard listener.registration != nil, pauseTimer == nil else { return }
        for _ in 0..<Self.acceptBatch {
            var quota = ConnectionQuota.Kind.general
            if !quotas.isFree(.general) {
                // Evict only if a connection is actually waiting.
                guard Socket.isReadable(listener.descriptor) else { return }
                guard let made = makeRoom() else {
                    // Every place has a busy connection, so new ones wait in the kernel's backlog.
                    isAcceptPaused = true
                    return
                }
                quota = made
            }
            switch Socket.accept(listener.descriptor) {
            case .success(let (descriptor, peer)): open(descriptor, peer, on: quota)
            case .failure(.none): return
            case .failure(.next): continue
            case .failure(.exhausted(let error)):
                // The kernel allocates a descriptor before it looks for a connection, so none may be waiting.
                guard Socket.isReadable(listener.descriptor) else { return }
                guard evict(.idle) || evict(.head) || evict(.reserved) else { return pauseAccepting(error) }
            case .failure(.pause(let error)): return pauseAccepting(error)
            }
        }
        loop.submit { [self] in accept(on: listener) }
    }

    /// Makes room for a connection when all general places are taken: evicts an idle connection, then the one that has
    /// been within a header longest. Otherwise it uses a reserved place.
    private func makeRoom() -> ConnectionQuota.Kind? {
        if evict(.idle) || evict(.head) { return .general }
        return quotas.isFree(.reserved) || evict(.reserved) ? .reserved : nil
    }

    /// Closes the first connection in a queue that has no unread bytes; unread bytes may be a request.
    private func evict(_ queue: EvictionQueues.Name) -> Bool {
        var candidate = evictable.oldest(queue)
        for _ in 0..<Self.evictionTries {
            guard let slot = candidate, let connection = table[slot] else { return false }
            guard Socket.hasUnread(connection.descriptor) else {
                connection.close(.evicted)
                return true
            }
            candidate = evictable.next(after: slot)
        }
        return false
    }

    private func pauseAccepting(_ error: Int32) {
        for observer in observers { observer.acceptPaused(errno: error) }
        pauseTimer = loop.schedule(at: loop.now + Self.acceptPause) { [weak self] in
            guard let self else { return }
            pauseTimer = nil
            for observer in observers { observer.acceptResumed() }
            acceptAll()
        }
    }

    private func acceptAll() {
        for listener in listeners { accept(on: listener) }
    }

    /// A place is free, or a connection can be evicted from now on.
    func resumeAccepting() {
        guard isAcceptPaused else { return }
        isAcceptPaused = false
        // Not from within a connection's event, which uses the shared buffers.
        loop.submit { [weak self] in self?.acceptAll() }
    }

    // MARK: Connections

    private func open(_ descriptor: Int32, _ peer: PeerAddress, on quota: ConnectionQuota.Kind) {
        quotas.take(quota)
        let connection = Connection(
            slot: table.nextSlot, descriptor: descriptor, peer: peer, quota: quota, server: self)
        table.insert(connection)
        for observer in observers { observer.connectionOpened() }
        connection.start()
    }

    /// The most requests of one connection per turn. The more connections want more than their share, the smaller it
    /// is, so that one round over all of them takes milliseconds.
    var requestsPerTurn: Int {
        yielding == 0
            ? configuration.requestsPerTurn
            : max(1, min(configuration.requestsPerTurn, Self.requestsPerRound / yielding))
    }

    var maxStreamBacklog: Int { configuration.maxStreamBacklog ?? configuration.maxPendingOutput }

    /// Moves a connection from a reserved place to a general one if one is free, and returns whether it did.
    func promoteFromReserve() -> Bool { quotas.promote() }

    func connectionClosed(_ connection: Connection, _ reason: ConnectionCloseReason) {
        evictable.remove(connection.slot)
        quotas.giveBack(connection.quota)
        table.remove(connection.slot)
        for observer in observers { observer.connectionClosed(reason) }
        resumeAccepting()
        finishDrainingIfEmpty()
        trimMemorySoon()
    }

    /// Frees memory some seconds after a peak.
    private func trimMemorySoon() {
        guard table.shouldTrim, memoryTimer == nil else { return }
        memoryTimer = loop.schedule(at: loop.now + Self.trimDelay) { [weak self] in
            guard let self else { return }
            memoryTimer = nil
            if table.shouldTrim { trimMemory() }
        }
    }

    /// Frees unused memory: the ends of tables to the allocator, then pages to the kernel.
    func trimMemory() {
        table.shrink()
        evictable.shrink(to: table.slotCount)
        if batch.isEmpty { batch = ResponseBatch() }
        if sending.isEmpty { sending = ResponseBatch() }
        loop.shrink()
        // The allocator keeps pages below its highest block in use: most of them after a peak of connections.
        malloc_trim(0)
    }

    /// The number of slots in the table of connections, used or free.
    package var slotCount: Int { table.slotCount }

    /// The `Date` field with its line end; built once a second.
    func dateLine() -> [UInt8] {
        let seconds = Socket.wallClockSeconds()
        if seconds != cachedDate.seconds {
            cachedDate = (seconds, Array("Date: \(CivilTime(secondsSinceEpoch: seconds).imfFixdate)\r\n".utf8))
        }
        return cachedDate.line
    }

    /// Holds the collected output of `connection` back until the end of the round, after which the connection
    /// continues. Returns `false` if too much waits already.
    func sendsAtEndOfRound(_ connection: Connection) -> Bool {
        guard batch.hasRoom(for: output) else { return false }
        if batch.isEmpty { loop.deferWrite(.response) { [self] in sendBatch() } }
        batch.add(output, of: connection)
        releaseOutput()
        return true
    }

    private func sendBatch() {
        swap(&batch, &sending)
        for entry in sending.entries { entry.connection.send(sending.bytes[entry.bytes]) }
        for entry in sending.entries { entry.connection.resume() }
        sending.removeAll()
    }

    /// Empties the collected output. Frees the buffer of a large response.
    func releaseOutput() {
        if output.capacity > 262_144 { output = [] } else { output.removeAll(keepingCapacity: true) }
    }

    /// Accepts the connections in the kernel's backlog and closes the listeners.
    func stopListening() {
        if let pauseTimer { loop.cancel(pauseTimer) }
        pauseTimer = nil
        for listener in listeners {
            var left = Int(configuration.backlog)
            // Evicts an idle connection, as for any new one: the new one's request may have arrived already.
            while left > 0, Socket.isReadable(listener.descriptor), quotas.isFree(.general) || evict(.idle) {
                left -= 1
                switch Socket.accept(listener.descriptor) {
                case .success(let (descriptor, peer)): open(descriptor, peer, on: .general)
                case .failure(.next): continue
                default: left = 0
                }
            }
            listener.close(loop)
        }
        listeners = []
    }
}
