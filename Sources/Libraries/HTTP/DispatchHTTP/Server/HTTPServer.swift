public import DispatchLoop
public import HTTP1

/// An HTTP/1.1 server on the loop: listens, accepts, keeps its connections, and leaves politely.
@LoopActor
public final class HTTPServer {
    /// What is set.
    public let configuration: ServerConfiguration
    /// Hears what happens.
    public var observer: (any ServerObserver)?
    /// Gives each request its id, before the handler sees it: one that the client or a proxy sent, or a new one. It is
    /// in `RequestHead.id` from then on, and goes back as `X-Request-Id`. Called on the loop with each request; an id of
    /// up to 15 bytes costs no allocation. Without it requests have no id.
    public var requestIdentifier: (@LoopActor (RequestHead) -> String)?

    let loop = EventLoop.shared
    let responder: any Responder
    let deadlines: TimeoutNanoseconds
    /// The deadlines of connections on reserved places.
    let reservedDeadlines: TimeoutNanoseconds
    /// Who can make room for others.
    var evictable = EvictionQueues()
    /// Where all connections read into, one after the other.
    var input = [UInt8](repeating: 0, count: 65_536)
    /// Where answers are collected during one event of one connection; empty between events.
    var output: [UInt8] = []
    /// Answers that wait for the end of the round, and the same while they are sent; empty between rounds.
    private var batch = ResponseBatch()
    private var sending = ResponseBatch()
    /// Where the line before a piece of a stream is written, one after the other.
    var frame: [UInt8] = []
    /// How many connections wait for their next turn although they could go on.
    var yielding = 0
    /// How many requests have been answered.
    public internal(set) var answered = 0
    /// Whether the server leaves, or is about to, so that each answer says `Connection: close`.
    public var isDraining: Bool { leaving.isAnnounced }

    /// The state of the shutdown, the timer of its next step, what is called when leaving begins, and the callers that wait
    /// for the end.
    var leaving = ServerDrain()
    var drainTimer: TimerID?
    var leavingHandlers: [@LoopActor () -> Void] = []
    var drainWaiters: [CheckedContinuation<Void, Never>] = []

    private(set) var listeners: [Listener] = []
    private var table = ConnectionTable()
    private var quotas: ConnectionQuota
    private var cachedDate = HTTPDate(secondsSinceEpoch: 0)
    /// Accepting waits for a place or a descriptor.
    private var isAcceptPaused = false
    private var pauseTimer: TimerID?
    private var memoryTimer: TimerID?

    /// How many connections are accepted in one go before others have their turn.
    private static let acceptBatch = 64
    /// How many requests all connections that want more than their share have answered in one round, roughly.
    private static let requestsPerRound = 512
    /// How long after a peak its memory is kept for the next one.
    private static let trimDelay = Duration.seconds(5)
    /// How many connections are asked whether they can make room before one more is taken for crowded.
    private static let evictionTries = 32
    /// How long accepting rests when the machine has nothing left to accept with.
    private static let acceptPause = Duration.milliseconds(100)

    /// A server that answers with what `responder` says.
    public init(
        configuration: ServerConfiguration, responder: any Responder, observer: (any ServerObserver)? = nil
    ) {
        self.configuration = configuration
        self.responder = responder
        self.observer = observer
        deadlines = TimeoutNanoseconds(configuration.timeouts)
        reservedDeadlines = TimeoutNanoseconds(configuration.timeouts.onReservedPlace)
        quotas = ConnectionQuota(general: configuration.maxConnections, reserved: configuration.reservedConnections)
    }

    // MARK: Listening

    /// Starts to listen and to answer.
    ///
    /// - Parameter descriptors: Sockets that listen already, opened by somebody else – a service manager – and this
    ///   server's from now on. Without any, it opens what ``ServerConfiguration/host`` and port say.
    /// - Returns: The addresses, with the ports that the kernel chose where 0 was asked for.
    /// - Throws: `ListenError`, which says where and what to do. Nothing is listened on then.
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

    /// Where the server listens.
    public var addresses: [SocketAddress] { listeners.map(\.address) }

    /// How many connections are open.
    public var connectionCount: Int { quotas.count }

    /// How many of them are on reserved places.
    public var reservedCount: Int { quotas.reservedTaken }

    /// How many of them wait for their next request.
    public var idleCount: Int { evictable.count(.idle) }

    /// How many of them have sent a part of a request's header.
    public var headCount: Int { evictable.count(.head) }

    /// How many requests are being answered, streams included. Looks at each connection.
    public var activeCount: Int { table.connections.count { $0.isAnswering } }

    var connections: [Connection] { table.connections }

    private func accept(on listener: Listener) {
        guard listener.registration != nil, pauseTimer == nil else { return }
        for _ in 0..<Self.acceptBatch {
            var quota = ConnectionQuota.Kind.general
            if !quotas.isFree(.general) {
                // Nobody is sent away for a newcomer who is not there.
                guard Socket.isReadable(listener.descriptor) else { return }
                guard let made = makeRoom() else {
                    // With every place taken by a connection that is busy, newcomers wait in the kernel's backlog.
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
                // The kernel takes a descriptor before it looks for a connection: there may be none.
                guard Socket.isReadable(listener.descriptor) else { return }
                guard evict(.idle) || evict(.head) || evict(.reserved) else { return pauseAccepting(error) }
            case .failure(.pause(let error)): return pauseAccepting(error)
            }
        }
        loop.submit { [self] in accept(on: listener) }
    }

    /// A place for a newcomer when all ordinary ones are taken. Who waits for a request goes first, then who has been
    /// at a header longest; failing those there is the reserve.
    private func makeRoom() -> ConnectionQuota.Kind? {
        if evict(.idle) || evict(.head) { return .general }
        return quotas.isFree(.reserved) || evict(.reserved) ? .reserved : nil
    }

    /// Closes the oldest of a queue, but none for which bytes have arrived that nobody has looked at yet: its request
    /// may be among them.
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
        observer?.acceptPaused(errno: error)
        pauseTimer = loop.schedule(at: loop.now + Self.acceptPause) { [weak self] in
            guard let self else { return }
            pauseTimer = nil
            observer?.acceptResumed()
            acceptAll()
        }
    }

    private func acceptAll() {
        for listener in listeners { accept(on: listener) }
    }

    private func resumeAccepting() {
        guard isAcceptPaused else { return }
        isAcceptPaused = false
        // Not from within a connection's event: the buffers are in use.
        loop.submit { [weak self] in self?.acceptAll() }
    }

    // MARK: Connections

    private func open(_ descriptor: Int32, _ peer: PeerAddress, on quota: ConnectionQuota.Kind) {
        quotas.take(quota)
        let connection = Connection(
            slot: table.nextSlot, descriptor: descriptor, peer: peer, quota: quota, server: self)
        table.insert(connection)
        observer?.connectionOpened()
        connection.start()
    }

    /// How many requests a connection may have answered before the others have their turn. The more want more than their
    /// share, the smaller it is: a round of all of them stays a matter of milliseconds.
    var requestsPerTurn: Int {
        yielding == 0
            ? configuration.requestsPerTurn
            : max(1, min(configuration.requestsPerTurn, Self.requestsPerRound / yielding))
    }

    var maxStreamBacklog: Int { configuration.maxStreamBacklog ?? configuration.maxPendingOutput }

    /// A connection can be asked to make room from now on.
    func connectionBecameEvictable() { resumeAccepting() }

    /// Gives a connection on a reserved place an ordinary one, if there is one by now.
    func promoteFromReserve() -> Bool { quotas.promote() }

    func connectionClosed(_ connection: Connection, _ reason: ConnectionCloseReason) {
        evictable.remove(connection.slot)
        quotas.giveBack(connection.quota)
        table.remove(connection.slot)
        observer?.connectionClosed(reason)
        resumeAccepting()
        finishDrainingIfEmpty()
        trimMemorySoon()
    }

    /// Some seconds after a peak has gone, gives back what it has left behind.
    private func trimMemorySoon() {
        guard table.shouldTrim, memoryTimer == nil else { return }
        memoryTimer = loop.schedule(at: loop.now + Self.trimDelay) { [weak self] in
            guard let self else { return }
            memoryTimer = nil
            if table.shouldTrim { trimMemory() }
        }
    }

    /// Gives back what is not in use: the ends of tables to the allocator, and then pages to the kernel.
    func trimMemory() {
        table.shrink()
        evictable.shrink(to: table.nextFreshSlot)
        if batch.isEmpty { batch = ResponseBatch() }
        if sending.isEmpty { sending = ResponseBatch() }
        loop.shrink()
        Memory.returnUnused()
    }

    /// How many places there are in the table of connections, taken or free.
    var slotCount: Int { table.nextFreshSlot }

    /// The present for `Date` fields; built anew once a second.
    func date() -> HTTPDate {
        let seconds = Socket.wallClockSeconds()
        if seconds != cachedDate.seconds { cachedDate = HTTPDate(secondsSinceEpoch: seconds) }
        return cachedDate
    }

    /// Has the collected output, all of it `connection`'s, sent at the end of the round, after which the connection goes on.
    /// `false` when too much waits already.
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

    /// Empties the collected output. A large answer does not keep its memory for ever.
    func releaseOutput() {
        if output.capacity > 262_144 { output = [] } else { output.removeAll(keepingCapacity: true) }
    }

    /// Accepts the connections in the kernel's backlog and closes the listeners.
    func stopListening() {
        if let pauseTimer { loop.cancel(pauseTimer) }
        pauseTimer = nil
        for listener in listeners {
            var left = Int(configuration.backlog)
            // An idle connection makes room, as for any newcomer: the new one's request may have arrived already.
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
