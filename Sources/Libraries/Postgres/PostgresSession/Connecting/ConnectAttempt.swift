package import DispatchLoop

/// Grants an attempt its slots: one for the attempt itself, and one for each further socket.
@LoopActor
package protocol ConnectAttemptClient: AnyObject {
    /// The attempt asks for one more socket. Return `false` when no slot is free; the addresses then take turns.
    func attemptMayOpenAnotherSocket(_ attempt: ConnectAttempt) -> Bool
    /// A further socket is closed. May come after the attempt's end, if a helper thread still held the socket.
    func attemptClosedExtraSocket(_ attempt: ConnectAttempt)
    /// A server accepted the connection, and may have a process for it from now on; or it sent something (`isAnswer`).
    func attemptProgressed(_ attempt: ConnectAttempt, isAnswer: Bool)
    /// The only accepted connection ended. The attempt continues with other addresses.
    func attemptLostServer(_ attempt: ConnectAttempt)
}

/// One attempt to connect to the servers of a configuration, until a session is established or the time has run out.
///
/// ``ConnectRace`` decides; this class performs its actions. ``HostResolver`` looks names up, and each address has a
/// ``ConnectSocket``.
@LoopActor
package final class ConnectAttempt {
    package typealias Completion = @LoopActor (Result<PostgresConnection, PostgresError>) -> Void

    private let configuration: ConnectionConfiguration
    private let memory: ServerMemory
    private let resolver: HostResolver
    private let helpers: LoginHelpers
    private weak var client: (any ConnectAttemptClient)?
    private var completion: Completion?
    private var released: (@LoopActor () -> Void)?

    private let loop = EventLoop.shared
    private var race: ConnectRace
    private var isPerforming = false
    private var lookUps: [HostResolver.RequestID] = []
    /// All open sockets, including those that a helper thread still holds.
    private var sockets: [ConnectRace.SocketID: ConnectSocket] = [:]
    /// Slots besides the attempt's own.
    private var extraSlots = 0
    /// The established session, until the race has picked it.
    private var session: PostgresConnection?
    private var hasWon = false
    /// Whether the client believes that a server has accepted.
    private var hasAccepted = false
    private var timer = DeadlineTimer()

    /// Sockets opened so far, including those that libpq opened on its own.
    package private(set) var socketCount = 0
    /// Sockets open now. After the completion, only helper threads still hold some.
    package var openSocketCount: Int { sockets.count }
    /// Whether a server has accepted an open socket.
    package var isReached: Bool { race.isReached }
    /// When a helper thread began to work on a socket; `nil` while none does.
    package var computingSince: MonotonicTime? { race.computingSince }

    /// The local cause that has delayed the attempt for a second or longer.
    package var hindrance: PostgresError? { race.hindrance(at: .now()) }

    /// Creates an attempt; ``start()`` begins it.
    ///
    /// - Parameters:
    ///   - memory: shared by all attempts of one configuration.
    ///   - client: grants further sockets; without a client the attempt gets none. Held weakly.
    package init(
        _ configuration: ConnectionConfiguration, limits: ConnectLimits, memory: ServerMemory = ServerMemory(),
        resolver: HostResolver = .shared, helpers: LoginHelpers = .shared, client: (any ConnectAttemptClient)? = nil,
        completion: @escaping Completion
    ) {
        self.helpers = helpers
        self.configuration = configuration
        self.memory = memory
        self.resolver = resolver
        self.client = client
        self.completion = completion
        race = ConnectRace(
            servers: configuration.servers, prefersStandby: configuration.target == .preferStandby,
            isShuffled: configuration.loadBalancesHosts, limits: limits)
    }

    /// Begins. Calls the completion exactly once, never from within this call, unless ``abandon(completion:)`` comes
    /// first. The completion does not wait for sockets that helper threads still hold.
    package func start() {
        let problem = configuration.problem
        loop.submit {
            guard self.completion != nil else { return }
            if let problem {
                self.finish(.failure(problem))
            } else {
                self.apply { $0.start(at: $1, &$2) }
            }
        }
    }

    /// Ends the attempt without calling its completion. Calls `completion` when all sockets are closed: before this
    /// returns, unless a helper thread holds one.
    package func abandon(completion: @escaping @LoopActor () -> Void = {}) {
        self.completion = nil
        released = completion
        apply { $0.abandon(at: $1, &$2) }
    }

    // MARK: Performing

    private func apply(_ input: (inout ConnectRace, MonotonicTime, inout AddressBook) -> Void) {
        input(&race, .now(), &memory.book)
        if isPerforming { return }
        isPerforming = true
        defer {
            if hasAccepted, !race.isReached, completion != nil {
                hasAccepted = false
                client?.attemptLostServer(self)
            }
        }
        var next = 0
        while next < race.actions.count {
            let action = race.actions[next]
            next += 1
            perform(action)
        }
        race.actions.removeAll(keepingCapacity: true)
        isPerforming = false
        releaseSlots()
        armTimer()
        finishRelease()
    }

    private func perform(_ action: ConnectRace.Action) {
        switch action {
        case .lookUp(let server):
            lookUps.append(
                resolver.resolve(configuration.servers[server].host) { resolution in
                    self.apply { $0.resolved(server, resolution, at: $1, &$2) }
                })
        case .open(let id, let target, let attributes): open(id, target, attributes)
        case .askForSocket:
            let isPermitted = client?.attemptMayOpenAnotherSocket(self) ?? false
            if isPermitted { extraSlots += 1 }
            apply { $0.permitted(isPermitted, at: $1, &$2) }
        case .close(let id): close(id)
        case .win:
            guard let session else { return }
            self.session = nil
            hasWon = true
            finish(.success(session))
        case .fail(let error): finish(.failure(error))
        }
    }

    private func open(_ id: ConnectRace.SocketID, _ target: ConnectTarget, _ attributes: String?) {
        let server = configuration.servers[target.server]
        let socket = ConnectSocket(
            to: server, negotiatesGSS: configuration.negotiatesGSS, helpers: helpers
        ) { event in self.handle(event, from: id) }
        sockets[id] = socket
        socketCount += 1
        socket.open(configuration.parameters(for: server, address: target.address, attributes: attributes))
    }

    private func handle(_ event: ConnectSocket.Event, from id: ConnectRace.SocketID) {
        switch event {
        case .accepted:
            apply { $0.accepted(id, at: $1, &$2) }
            if race.isMuteBesideOthers(id, memory.book) { return }
            hasAccepted = true
            client?.attemptProgressed(self, isAnswer: false)
        case .replied:
            apply { $0.replied(id, at: $1, &$2) }
            client?.attemptProgressed(self, isAnswer: true)
        case .reopened:
            socketCount += 1
            apply { $0.replied(id, at: $1, &$2) }
            client?.attemptProgressed(self, isAnswer: true)
        case .computes(let kind): race.computes(id, kind, at: .now())
        case .failed(let error):
            sockets[id] = nil
            apply { $0.failed(id, error, at: $1, &$2) }
        case .connected(let connection):
            sockets[id] = nil
            session = connection
            apply { $0.succeeded(id, at: $1, &$2) }
        }
    }

    private func close(_ id: ConnectRace.SocketID) {
        guard let socket = sockets[id] else { return }
        let wasComputing = socket.isComputing
        let isClosed = socket.close { self.closed(id) }
        if isClosed {
            sockets[id] = nil
            if wasComputing { apply { $0.released(at: $1, &$2) } }
        }
    }

    /// A helper thread has closed the socket.
    private func closed(_ id: ConnectRace.SocketID) {
        sockets[id] = nil
        apply { $0.released(at: $1, &$2) }
    }

    /// Releases the slots that no socket needs any more.
    private func releaseSlots() {
        while extraSlots > max(0, sockets.count + (hasWon ? 1 : 0) - 1) {
            extraSlots -= 1
            client?.attemptClosedExtraSocket(self)
        }
    }

    private func finishRelease() {
        guard completion == nil, sockets.isEmpty, let released else { return }
        self.released = nil
        stop()
        released()
    }

    private func stop() {
        for lookUp in lookUps { resolver.abandon(lookUp) }
        lookUps = []
        timer.cancel()
    }

    private func armTimer() {
        guard timer.needsRearm(for: race.wakeAt) else { return }
        timer.set(for: race.wakeAt) {
            self.timer.fired()
            self.apply { $0.tick(at: $1, &$2) }
        }
    }

    private func finish(_ result: Result<PostgresConnection, PostgresError>) {
        stop()
        releaseSlots()
        let completion = completion
        self.completion = nil
        completion?(result)
    }
}
