internal import CLibPQ
import DispatchLoop

/// One PGconn connecting to one address. Watches the socket on the loop and moves slow work off it (``OffLoopPoll``).
///
/// libpq can try a list of servers itself. Here each address has its own PGconn, because libpq's asynchronous calls
/// ignore `connect_timeout`, so that one silent host would use up the deadline, and block in the look-up of each later
/// name.
@LoopActor
final class ConnectSocket {
    enum Event {
        /// The TCP handshake is done.
        case accepted
        /// The server sent something.
        case replied
        /// libpq closed its socket and opened another: `sslmode=prefer` tries again without TLS.
        case reopened
        /// A helper thread holds the PGconn, or (with `nil`) has returned it.
        case computes(OffLoopPoll.Kind?)
        /// The connect failed and the socket is closed.
        case failed(PostgresError)
        case connected(PostgresConnection)
    }

    private enum State {
        /// → `polling`, `over`.
        case idle
        /// libpq waits for the socket. → `stepping`, `over`.
        case polling(OpaquePointer, Registration?)
        /// A helper thread holds the PGconn. → `polling`, `over`.
        case offLoop(OffLoopPoll)
        /// Holds no socket, unless a helper thread has yet to close it.
        case over
    }

    private let server: ConnectionConfiguration.Server
    private let negotiatesGSS: Bool
    private let helpers: LoginHelpers
    private let report: @LoopActor (Event) -> Void
    private let loop = EventLoop.shared
    private let notices = NoticeReceiver()
    private var state = State.idle
    private var isAccepted = false
    /// Whether the current poll follows data from the server.
    private var hasRead = false
    private var awaitsServer = false

    /// Whether a helper thread holds the PGconn.
    var isComputing: Bool { if case .offLoop = state { true } else { false } }

    init(
        to server: ConnectionConfiguration.Server, negotiatesGSS: Bool, helpers: LoginHelpers,
        report: @escaping @LoopActor (Event) -> Void
    ) {
        self.helpers = helpers
        self.server = server
        self.negotiatesGSS = negotiatesGSS
        self.report = report
    }

    /// Begins to connect with libpq's parameters. May report before it returns.
    func open(_ parameters: [(String, String)]) {
        _ = OpenSSLAtExit.isLeftWhole
        let connection = withCStringArrays(parameters) { PQconnectStartParams($0, $1, 0) }
        guard let connection else {
            state = .over
            report(.failed(.connectionFailed("out of memory")))
            return
        }
        // Verbose from the first message on, because a failed connect has its SQLSTATE in the text only.
        PQsetErrorVerbosity(connection, PQERRORS_VERBOSE)
        notices.install(on: connection)
        state = .polling(connection, nil)
        if PQstatus(connection) == CONNECTION_BAD {
            failed()
        } else {
            // "If you have yet to call PQconnectPoll, behave as if it last returned PGRES_POLLING_WRITING" (34.1).
            watch(for: .write)
        }
    }

    /// Closes the socket and stops reporting. If a helper thread holds the PGconn, that thread closes the socket later,
    /// and then `released` is called.
    ///
    /// - Returns: whether the socket is closed already; `released` is not called then.
    func close(released: @escaping @LoopActor () -> Void) -> Bool {
        defer { state = .over }
        switch state {
        case .polling(let connection, let registration):
            if let registration { loop.deregister(registration) }
            PQfinish(connection)
            return true
        case .offLoop(let poll): return helpers.abandon(poll, released: released)
        case .idle, .over: return true
        }
    }

    /// Registers libpq's current socket: between two polls libpq may have replaced it, even under the same number.
    private func watch(for interest: Interest) {
        guard case .polling(let connection, let registration) = state else { return }
        if let registration { loop.deregister(registration) }
        awaitsServer = interest == .read
        do throws(SystemCallError) {
            let next = try loop.register(PQsocket(connection), for: interest, trigger: .level) { _ in self.poll() }
            state = .polling(connection, next)
        } catch {
            state = .polling(connection, nil)
            fail(.connectionFailed("\(error)"))
        }
    }

    private func poll() {
        guard case .polling(let connection, let registration) = state else { return }
        hasRead = awaitsServer
        guard let kind = OffLoopPoll.kind(of: connection, negotiatesGSS: negotiatesGSS) else {
            return polled(PQconnectPoll(connection))
        }
        if kind == .keys, let rounds = ScramRounds.awaited(on: connection), rounds > ScramRounds.most {
            return fail(ScramRounds.refusal(rounds))
        }
        // By registration and not by descriptor, because the poll may close the socket.
        if let registration { loop.deregister(registration) }
        let poll = OffLoopPoll(connection, notices, kind: kind) { outcome in
            // The loop owns the PGconn again.
            self.state = .polling(connection, nil)
            self.report(.computes(nil))
            switch outcome {
            case .polled(let status): self.polled(status)
            case .refused(let error): self.fail(error)
            }
        }
        state = .offLoop(poll)
        report(.computes(kind))
        helpers.run(poll)
    }

    private func polled(_ status: PostgresPollingStatusType) {
        guard case .polling(let connection, let registration) = state else { return }
        if status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING {
            watch(for: status == PGRES_POLLING_READING ? .read : .write)
            reportProgress(PQstatus(connection))
        } else if status == PGRES_POLLING_OK {
            if let registration { loop.deregister(registration) }
            state = .over  // The PGconn has a new owner.
            if !isAccepted { report(.accepted) }
            switch PostgresConnection.adopt(connection, notices: notices, endpoint: server.name) {
            case .success(let adopted): report(.connected(adopted))
            case .failure(let error): report(.failed(error))
            }
        } else {
            failed()
        }
    }

    /// Reports the progress of a poll that did not fail.
    private func reportProgress(_ status: ConnStatusType) {
        let isConnecting = status == CONNECTION_STARTED || status == CONNECTION_NEEDED
        if isAccepted, isConnecting {
            report(.reopened)
        } else if !isAccepted, !isConnecting {
            isAccepted = true
            report(.accepted)
        } else if isAccepted, hasRead {
            report(.replied)
        }
    }

    private func failed() {
        guard case .polling(let connection, _) = state else { return }
        let text = String(cString: PQerrorMessage(connection))
        fail(notices.cause ?? LibpqMessageParser.error(in: text, phase: .connecting, endpoint: server.name))
    }

    private func fail(_ error: PostgresError) {
        _ = close {}
        report(.failed(error))
    }
}

/// Calls `body` with keywords and values as NULL-terminated arrays of C strings.
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
