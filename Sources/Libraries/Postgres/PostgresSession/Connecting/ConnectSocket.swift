internal import CLibPQ
import DispatchLoop

/// One PGconn on its way to one address. Watches the socket on the loop, and has work that takes long done elsewhere
/// (``OffLoopPoll``).
///
/// libpq can go through lists of servers itself; here each address has a PGconn of its own, because the asynchronous calls
/// ignore `connect_timeout` – one silent host would use up the whole deadline – and look up every later name with a
/// blocking call.
@LoopActor
final class ConnectSocket {
    enum Event {
        /// The TCP handshake is done.
        case accepted
        /// The server has said something.
        case heard
        /// libpq has closed its socket and opened another one: `sslmode=prefer` tries again without TLS.
        case reopened
        /// Another thread works on it, or (with `nil`) has done so.
        case computes(OffLoopPoll.Kind?)
        /// It is closed.
        case failed(PostgresError)
        case connected(PostgresConnection)
    }

    private enum State {
        /// → `polling`, `over`.
        case idle
        /// libpq waits for the socket. → `stepping`, `over`.
        case polling(OpaquePointer, Registration?)
        /// Another thread has the PGconn. → `polling`, `over`.
        case stepping(OffLoopPoll)
        /// Holds no socket, unless a helper has yet to let go of it.
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
    /// Whether the step under way follows something that the server said.
    private var hasRead = false
    private var awaitsServer = false

    /// Whether another thread has the PGconn.
    var isComputing: Bool { if case .stepping = state { true } else { false } }

    init(
        to server: ConnectionConfiguration.Server, negotiatesGSS: Bool, helpers: LoginHelpers,
        report: @escaping @LoopActor (Event) -> Void
    ) {
        self.helpers = helpers
        self.server = server
        self.negotiatesGSS = negotiatesGSS
        self.report = report
    }

    /// Begins to connect with libpq's parameters. May report from within.
    func open(_ parameters: [(String, String)]) {
        _ = OpenSSLAtExit.isLeftWhole
        let connection = withCStringArrays(parameters) { PQconnectStartParams($0, $1, 0) }
        guard let connection else {
            state = .over
            report(
                .failed(
                    PostgresError(code: PostgresError.Code.connection, message: "out of memory", disposition: .outage)))
            return
        }
        // Verbose from the first message on: a failed connect has its SQLSTATE in the text only.
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

    /// Closes it; it reports nothing any more. `released` is called when a helper that works on it has let go.
    ///
    /// - Returns: whether it is closed already; `released` is not called then.
    func close(released: @escaping @LoopActor () -> Void) -> Bool {
        defer { state = .over }
        switch state {
        case .polling(let connection, let registration):
            if let registration { loop.deregister(registration) }
            PQfinish(connection)
            return true
        case .stepping(let step): return helpers.abandon(step, released: released)
        case .idle, .over: return true
        }
    }

    /// Watches the socket that libpq uses *now*: between two polls it may be another one under the same number.
    private func watch(for interest: Interest) {
        guard case .polling(let connection, let registration) = state else { return }
        if let registration { loop.deregister(registration) }
        awaitsServer = interest == .read
        do throws(SystemCallError) {
            let next = try loop.register(PQsocket(connection), for: interest, trigger: .level) { _ in self.poll() }
            state = .polling(connection, next)
        } catch {
            state = .polling(connection, nil)
            fail(PostgresError(code: PostgresError.Code.connection, message: "\(error)", disposition: .outage))
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
        // By what was registered: the step may close the socket.
        if let registration { loop.deregister(registration) }
        let step = OffLoopPoll(connection, notices, kind: kind) { outcome in
            // Handed back.
            self.state = .polling(connection, nil)
            self.report(.computes(nil))
            switch outcome {
            case .polled(let status): self.polled(status)
            case .refused(let error): self.fail(error)
            }
        }
        state = .stepping(step)
        report(.computes(kind))
        helpers.run(step)
    }

    private func polled(_ status: PostgresPollingStatusType) {
        guard case .polling(let connection, let registration) = state else { return }
        if status == PGRES_POLLING_READING || status == PGRES_POLLING_WRITING {
            watch(for: status == PGRES_POLLING_READING ? .read : .write)
            tellProgress(PQstatus(connection))
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

    /// After each step that did not fail. The first ends the handshake.
    private func tellProgress(_ status: ConnStatusType) {
        let isConnecting = status == CONNECTION_STARTED || status == CONNECTION_NEEDED
        if isAccepted, isConnecting {
            report(.reopened)
        } else if !isAccepted, !isConnecting {
            isAccepted = true
            report(.accepted)
        } else if isAccepted, hasRead {
            report(.heard)
        }
    }

    private func failed() {
        guard case .polling(let connection, _) = state else { return }
        let text = String(cString: PQerrorMessage(connection))
        fail(notices.ending ?? LibpqMessageParser.error(in: text, phase: .connecting, endpoint: server.name))
    }

    private func fail(_ error: PostgresError) {
        _ = close {}
        report(.failed(error))
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
