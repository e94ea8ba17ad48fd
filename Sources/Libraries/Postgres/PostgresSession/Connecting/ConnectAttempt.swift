package import DispatchLoop

/// Owns the slots of an attempt: one for the attempt itself, and one for each further socket.
@LoopActor
package protocol ConnectAttemptClient: AnyObject {
    /// The attempt asks for one more socket beside those that are open. `false` means that no slot is free; the addresses
    /// take turns then.
    func attemptMayOpenAnotherSocket(_ attempt: ConnectAttempt) -> Bool
    /// A further socket is closed. This may come after the attempt has ended, where a helper thread still held the socket.
    func attemptClosedExtraSocket(_ attempt: ConnectAttempt)
    /// A server has accepted the connection, and may have a process for it from now on; or it has sent something.
    func attemptProgressed(_ attempt: ConnectAttempt, isAnswer: Bool)
    /// The connection that a server had accepted has ended. The attempt goes on with other addresses, none of which has
    /// accepted yet.
    func attemptLostServer(_ attempt: ConnectAttempt)
}

/// One attempt to connect to the servers of a configuration, until a session stands or the time has passed.
///
/// What is decided is decided in ``ConnectRace``; this is the shell that performs it. Names are looked up by
/// ``HostResolver``, each address has a ``ConnectSocket``.
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
    private var tickets: [HostResolver.RequestID] = []
    /// All that are open: those that race, and those that a helper thread still holds.
    private var sockets: [ConnectRace.SocketID: ConnectSocket] = [:]
    /// Slots beside the attempt's own.
    private var extraSlots = 0
    /// The session that stands, until the race has been told of it.
    private var session: PostgresConnection?
    private var hasWon = false
    /// Whether the client knows of a server that has accepted, and that is not lost.
    private var hasAccepted = false
    private var timer = DeadlineTimer()

    /// How many sockets were opened so far, those among them that libpq opened by itself.
    package private(set) var socketCount = 0
    /// How many are open now. After the completion these are the ones that helper threads still hold; ``abandon(completion:)``
    /// tells when they are closed.
    package var openSocketCount: Int { sockets.count }
    /// Whether a server has accepted one of those that are open.
    package var isReached: Bool { race.isReached }
    /// Since when another thread has worked on one of them; `nil` while none does.
    package var computingSince: MonotonicTime? { race.computingSince }

    /// What has held the attempt up on this side for a second and more, where it has not failed yet.
    package var hindrance: PostgresError? { race.hindrance(at: .now()) }

    /// An attempt that has not begun.
    ///
    /// - Parameters:
    ///   - memory: what earlier attempts have learned; shared by those of one configuration.
    ///   - client: is asked for further sockets; `nil` for none. Held weakly.
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
            servers: configuration.servers, prefersStandby: configuration.prefersStandby,
            isShuffled: configuration.loadBalancesHosts, limits: limits)
    }

    /// Begins. The completion is called exactly once, never from within this call, unless ``abandon(completion:)`` comes
    /// first. It does not wait for sockets that helper threads still hold.
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

    /// Ends the attempt without calling its completion. `completion` is called when all its sockets are closed: before this
    /// returns, unless a helper thread works on one.
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
            tickets.append(
                resolver.resolve(configuration.servers[server].host) { answer in
                    self.apply { $0.resolved(server, answer, at: $1, &$2) }
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
        ) { event in self.took(event, from: id) }
        sockets[id] = socket
        socketCount += 1
        socket.open(configuration.parameters(for: server, address: target.address, attributes: attributes))
    }

    private func took(_ event: ConnectSocket.Event, from id: ConnectRace.SocketID) {
        switch event {
        case .accepted:
            apply { $0.accepted(id, at: $1, &$2) }
            hasAccepted = true
            client?.attemptProgressed(self, isAnswer: false)
        case .heard:
            apply { $0.heard(id, at: $1, &$2) }
            client?.attemptProgressed(self, isAnswer: true)
        case .reopened:
            socketCount += 1
            apply { $0.heard(id, at: $1, &$2) }
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

    /// A helper thread has closed it.
    private func closed(_ id: ConnectRace.SocketID) {
        sockets[id] = nil
        apply { $0.released(at: $1, &$2) }
    }

    /// Gives back the slots that no socket needs any more.
    private func releaseSlots() {
        while extraSlots > max(0, sockets.count + (hasWon ? 1 : 0) - 1) {
            extraSlots -= 1
            client?.attemptClosedExtraSocket(self)
        }
    }

    private func finishRelease() {
        guard completion == nil, sockets.isEmpty, let released else { return }
        self.released = nil
        for ticket in tickets { resolver.abandon(ticket) }
        tickets = []
        timer.cancel()
        released()
    }

    private func armTimer() {
        guard timer.needsRearm(for: race.wakeAt) else { return }
        timer.set(for: race.wakeAt) {
            self.timer.fired()
            self.apply { $0.tick(at: $1, &$2) }
        }
    }

    private func finish(_ result: Result<PostgresConnection, PostgresError>) {
        for ticket in tickets { resolver.abandon(ticket) }
        tickets = []
        timer.cancel()
        releaseSlots()
        let completion = completion
        self.completion = nil
        completion?(result)
    }
}
