internal import CLibPQ
package import DispatchLoop

/// One attempt to connect: the servers of the configuration in order, the addresses of each in order, one socket at a
/// time, until a session stands or the deadline passes.
///
/// libpq can go through lists itself; here each address has a PGconn of its own, because the asynchronous calls ignore
/// `connect_timeout` – one silent host would use up the whole deadline – and look up every later name with a blocking
/// call. Everything blocking happens in ``HostResolver``; the socket is watched on the loop, and what it brings is worked on
/// elsewhere where that takes long (``ConnectStep``).
@LoopActor
package final class ConnectAttempt {
    package typealias Completion = @LoopActor (Result<PostgresConnection, PostgresError>) -> Void

    /// How long one address may take while there are others to try.
    package static let timePerAddress = Duration.seconds(1)

    private enum State {
        /// → `resolving`, `polling`, `finished`.
        case idle
        /// Looking a name up. → `polling`, `finished`. Holds no socket.
        case resolving(HostResolver.Ticket)
        /// libpq is connecting to one address. → `idle` when that fails, `finished`.
        case polling(OpaquePointer, SessionNotices, Registration?)
        /// The same, on another thread. → `polling`, `idle` when that fails, `finished`.
        case stepping(OpaquePointer, SessionNotices, ConnectStep)
        /// The completion has been called, or the attempt was abandoned. Holds no socket.
        case finished
    }

    private let configuration: ConnectionConfiguration
    private let resolver: HostResolver
    private let deadline: MonotonicTime
    private let loop = EventLoop.shared
    private var completion: Completion?
    private var state = State.idle
    private var servers: ArraySlice<ConnectionConfiguration.Server>
    private var server: ConnectionConfiguration.Server?
    private var addresses: ArraySlice<String> = []
    private var timer: TimerID?
    private var failure: PostgresError?

    package init(
        _ configuration: ConnectionConfiguration, deadline: MonotonicTime, resolver: HostResolver = .shared,
        completion: @escaping Completion
    ) {
        self.configuration = configuration
        self.deadline = deadline
        self.resolver = resolver
        self.completion = completion
        servers = configuration.servers[...]
    }

    /// Begins. The completion is called exactly once, never from within this call, unless ``abandon()`` comes first.
    package func start() {
        let problem = configuration.problem
        loop.submit {
            if let problem { self.finish(.failure(problem)) } else { self.next() }
        }
    }

    /// Ends the attempt without calling the completion; its socket is closed when this returns.
    package func abandon() {
        completion = nil
        tearDown()
        state = .finished
    }

    // MARK: From server to server

    private func next() {
        guard case .idle = state else { return }
        if let address = addresses.popFirst(), let server {
            connect(to: server, address: address)
        } else if let next = servers.popFirst() {
            server = next
            if next.isUnixSocket {
                connect(to: next, address: nil)
            } else if !next.address.isEmpty || HostResolver.isNumeric(next.host) {
                connect(to: next, address: next.address.isEmpty ? next.host : next.address)
            } else {
                resolve(next)
            }
        } else {
            finish(.failure(failure ?? timeout()))
        }
    }

    private func resolve(_ server: ConnectionConfiguration.Server) {
        armTimer(isLast: servers.isEmpty)
        let ticket = resolver.resolve(server.host) { answer in
            guard self.isResolving else { return }
            self.tearDown()
            switch answer {
            case .success(let addresses): self.addresses = addresses[...]
            case .failure(let error): self.note(error)
            }
            self.next()
        }
        state = .resolving(ticket)
    }

    private var isResolving: Bool {
        if case .resolving = state { true } else { false }
    }

    private func connect(to server: ConnectionConfiguration.Server, address: String?) {
        armTimer(isLast: servers.isEmpty && addresses.isEmpty)
        let connection = withCStringArrays(configuration.parameters(for: server, address: address)) {
            PQconnectStartParams($0, $1, 0)
        }
        guard let connection else {
            finish(.failure(failure ?? timeout()))
            return
        }
        // Verbose from the first message on: a failed connect has its SQLSTATE in the text only.
        PQsetErrorVerbosity(connection, PQERRORS_VERBOSE)
        let notices = SessionNotices()
        notices.install(on: connection)
        state = .polling(connection, notices, nil)
        if PQstatus(connection) == CONNECTION_BAD {
            failedToConnect()
        } else {
            // "If you have yet to call PQconnectPoll, behave as if it last returned PGRES_POLLING_WRITING" (34.1).
            watch(for: .write)
        }
    }

    /// Watches the socket that libpq uses *now*: between two polls it may be another one under the same number.
    private func watch(for interest: Interest) {
        guard case .polling(let connection, let notices, let registration) = state else { return }
        if let registration { loop.deregister(registration) }
        do throws(SystemCallError) {
            let next = try loop.register(PQsocket(connection), for: interest, trigger: .level) { _ in self.poll() }
            state = .polling(connection, notices, next)
        } catch {
            state = .polling(connection, notices, nil)
            note(PostgresError(code: PostgresError.Code.connection, message: "\(error)", disposition: .outage))
            tearDown()
            next()
        }
    }

    private func poll() {
        guard case .polling(let connection, let notices, let registration) = state else { return }
        guard ConnectStep.isNext(of: connection) else { return polled(PQconnectPoll(connection)) }
        // By what was registered: the step may close the socket.
        if let registration { loop.deregister(registration) }
        let step = ConnectStep()
        state = .stepping(connection, notices, step)
        step.run(connection) { status in
            guard case .stepping(let connection, let notices, _) = self.state else { return }
            self.state = .polling(connection, notices, nil)
            self.polled(status)
        }
    }

    private func polled(_ status: PostgresPollingStatusType) {
        guard case .polling(let connection, let notices, let registration) = state, let server else { return }
        switch status {
        case PGRES_POLLING_READING: watch(for: .read)
        case PGRES_POLLING_WRITING: watch(for: .write)
        case PGRES_POLLING_OK:
            if let registration { loop.deregister(registration) }
            state = .idle  // The PGconn has a new owner.
            finish(PostgresConnection.adopt(connection, notices: notices, endpoint: server.name))
        default: failedToConnect()
        }
    }

    private func failedToConnect() {
        guard case .polling(let connection, let notices, _) = state else { return }
        let text = String(cString: PQerrorMessage(connection))
        let error = notices.ending ?? FailureText.error(in: text, phase: .connecting, endpoint: server?.name)
        note(error)
        // A server that has spoken says the same on its other addresses.
        if error.severity != nil { addresses = [] }
        tearDown()
        next()
    }

    // MARK: Ends

    private func armTimer(isLast: Bool) {
        let end = isLast ? deadline : min(deadline, MonotonicTime.now() + Self.timePerAddress)
        if let timer { loop.cancel(timer) }
        timer = loop.schedule(at: end) {
            self.timer = nil
            guard self.completion != nil else { return }
            self.note(self.timeout())
            self.tearDown()
            if MonotonicTime.now() >= self.deadline {
                self.finish(.failure(self.failure ?? self.timeout()))
            } else {
                self.next()
            }
        }
    }

    private func timeout() -> PostgresError {
        PostgresError(
            code: PostgresError.Code.connectTimeout, message: "the server did not answer the connect in time",
            disposition: .outage, endpoint: server?.name, isProvablyUnsent: true)
    }

    /// Of the failures on several servers, keeps the one that says most about when connecting will succeed.
    private func note(_ error: PostgresError) {
        var error = error
        error.isProvablyUnsent = true
        if error.endpoint == nil { error.endpoint = server?.name }
        guard let known = failure, Self.weight(known) >= Self.weight(error) else {
            failure = error
            return
        }
    }

    private static func weight(_ error: PostgresError) -> Int {
        switch error.disposition {
        case .wrongRole: 4  // A server answers, and is one promotion away from being the right one.
        case .outage where error.severity != nil: 3  // A server answers, and is not ready.
        case .configuration: 2
        default: 1
        }
    }

    /// Lets go of the timer, the look-up and the socket; the attempt may go on with the next address.
    private func tearDown() {
        if let timer { loop.cancel(timer) }
        timer = nil
        switch state {
        case .resolving(let ticket): resolver.abandon(ticket)
        case .polling(let connection, let notices, let registration):
            if let registration { loop.deregister(registration) }
            PQfinish(connection)
            withExtendedLifetime(notices) {}
        case .stepping(let connection, let notices, let step):
            step.withdraw()
            PQfinish(connection)
            withExtendedLifetime(notices) {}
        case .idle, .finished: break
        }
        state = .idle
    }

    private func finish(_ result: Result<PostgresConnection, PostgresError>) {
        tearDown()
        state = .finished
        let completion = completion
        self.completion = nil
        completion?(result)
    }
}

/// Calls `body` with the keywords and the values as NULL-terminated arrays of C strings.
private func withCStringArrays<Result>(
    _ pairs: [(String, String)],
    _ body: (UnsafePointer<UnsafePointer<CChar>?>, UnsafePointer<UnsafePointer<CChar>?>) -> Result
) -> Result {
    var bytes: [CChar] = []
    var offsets: [Int] = []
    for text in pairs.flatMap({ [$0.0, $0.1] }) {
        offsets.append(bytes.count)
        bytes.append(contentsOf: text.utf8CString)
    }
    return bytes.withUnsafeBufferPointer { buffer in
        let pointers: [UnsafePointer<CChar>?] = offsets.map { buffer.baseAddress?.advanced(by: $0) }
        let keywords = stride(from: 0, to: pointers.count, by: 2).map { pointers[$0] } + [nil]
        let values = stride(from: 1, to: pointers.count, by: 2).map { pointers[$0] } + [nil]
        return keywords.withUnsafeBufferPointer { keywords in
            values.withUnsafeBufferPointer { values in
                guard let keywords = keywords.baseAddress, let values = values.baseAddress else {
                    preconditionFailure("an array with a terminator is not empty")
                }
                return body(keywords, values)
            }
        }
    }
}
