internal import CLibPQ
package import DispatchLoop

/// One session with the server: a libpq connection that never blocks.
///
/// Belongs to the event loop and runs one statement at a time. The loop watches the socket between statements as well,
/// so that it sees the session's end at once, not at the next use.
///
/// ```
///            start             result, error
///   idle ─────────────▶ busy ─────────────────▶ idle
///     │                   │
///     │ end, ``close()``  │ end, deadline, ``close()``
///     ▼                   ▼
///   closed             closed                  (PQfinish has returned, the socket is gone)
/// ```
@LoopActor
package final class PostgresConnection {
    package typealias Completion = @LoopActor (Result<QueryResult, PostgresError>) -> Void

    /// The server as `host:port`, for the log.
    package nonisolated let endpoint: String
    /// The process id of the backend, as in `pg_stat_activity`.
    package nonisolated let backendProcessID: Int32

    /// Called once if the session ends while no statement runs, other than by ``close()``.
    package var onEnd: (@LoopActor (PostgresError) -> Void)?
    /// Called for each notification that arrives (`LISTEN`).
    package var onNotification: (@LoopActor (Notification) -> Void)?
    /// Called for each notice of the server, with the SQL of the running statement; in the midst of libpq's work, so it
    /// must not use the session. What came during the log-in is delivered at once.
    package var onNotice: (@LoopActor (PostgresError, _ sql: String?) -> Void)? {
        didSet {
            guard let onNotice else { return notices.receiver = nil }
            notices.receiver = { [weak self] in onNotice($0, self?.running?.statement.sql) }
        }
    }
    /// When the server's latest reply arrived.
    package internal(set) var lastReplyAt: MonotonicTime
    /// Nanoseconds from sending the latest statement to its result; 0 if this process was stopped in between, so that
    /// the time says nothing about the server.
    package private(set) var latestAnswerNanoseconds: Int64 = 0

    /// Cancels, at the server, the statement abandoned at its deadline.
    var cancelRequest: CancelRequest?
    /// `nil` once closed.
    var connection: OpaquePointer?
    let notices: NoticeReceiver
    private var registration: Registration?
    /// Why the session ended.
    private(set) var cause: PostgresError?
    let loop = EventLoop.shared
    private(set) var running: RunningStatement?
    /// Set in pipeline mode; `running` is `nil` then.
    var pipeline: Pipeline?
    var prepared = PreparedStatements()
    /// The latest result's columns, reused because the next result nearly always has the same.
    var columns: [QueryResult.Column] = []
    /// One timer for all statements. It is not cancelled when a statement ends; when it fires, it checks what runs
    /// then.
    private var timer = DeadlineTimer()
    private var waitsForWrite = false
    /// Whether libpq has bytes that the kernel has not taken.
    var isFlushPending: Bool { waitsForWrite }

    /// Wraps a connection that libpq has established.
    static func adopt(
        _ connection: OpaquePointer, notices: NoticeReceiver, endpoint: String
    ) -> Result<PostgresConnection, PostgresError> {
        PQsetnonblocking(connection, 1)
        let adopted = PostgresConnection(connection, notices: notices, endpoint: endpoint)
        do throws(SystemCallError) {
            try adopted.watch()
            EncryptionWatch.shared.opened(adopted)
            return .success(adopted)
        } catch {
            adopted.close()
            return .failure(.connectionFailed("\(error)"))
        }
    }

    private init(_ connection: OpaquePointer, notices: NoticeReceiver, endpoint: String) {
        self.connection = connection
        self.notices = notices
        self.endpoint = endpoint
        backendProcessID = PQbackendPID(connection)
        lastReplyAt = loop.now
    }

    isolated deinit {
        close()
    }

    // MARK: Statements

    /// Starts a statement, which is sent at the end of this round of the loop. Reports its end to `client` exactly
    /// once, never from within this call.
    ///
    /// - Parameters:
    ///   - deadline: when to give up. The session is then closed, unless the client takes it over.
    ///   - silence: nanoseconds without a reply after which the client is notified. The statement continues.
    package func start(
        _ statement: Statement, deadline: MonotonicTime, silence: Int64 = .max, client: any StatementDelegate
    ) {
        guard let connection, isIdle else { return refuse(client) }
        // Inside a transaction, executing a statement that is not prepared would abort the transaction.
        let isPrepared = statement.isPrepared && PQtransactionStatus(connection) == PQTRANS_IDLE
        begin(
            RunningStatement(
                statement, step: isPrepared ? prepared.step(for: statement.key) : .text, deadline: deadline,
                silence: silence, client: client, at: loop.now))
    }

    func start(_ run: RunningStatement) {
        if isIdle { begin(run) } else { refuse(run.client) }
    }

    private func begin(_ run: RunningStatement) {
        running = run
        loop.deferWrite(.request) { [self] in sendStep() }
        armTimer()
    }

    private func refuse(_ client: any StatementDelegate) {
        let error = isClosed ? errorAfterEnd : Self.busyError
        loop.submit { client.connection(self, finished: .failure(error)) }
    }

    /// Starts a statement. Calls `completion` exactly once, never from within this call.
    package func start(_ statement: Statement, deadline: MonotonicTime, completion: @escaping Completion) {
        start(statement, deadline: deadline, client: StatementCompletion(completion))
    }

    /// Takes over the running statement from its client, which is no longer called; `completion` receives the result.
    package func takeOverStatement(deadline: MonotonicTime, completion: @escaping Completion) {
        guard let run = running else { return }
        guard run.isSent else {
            // Not sent yet, and no longer needed.
            running = nil
            loop.submit { completion(.failure(Self.cancelledError)) }
            return
        }
        running?.deadline = deadline
        running?.silentAt = .distantFuture
        running?.client = StatementCompletion(completion)
        run.isAbandoned = true
        armTimer()
        discardStream()
    }

    /// A request to cancel the running statement; `nil` when none runs, or the session has ended.
    package var cancelRequestForStatement: CancelRequest? {
        guard let connection, let running, running.isSent else { return nil }
        return CancelRequest(connection)
    }

    private func sendStep() {
        // The statement, or the session, may be gone by now.
        guard let connection, let running, !running.isSent else { return }
        running.isSent = true
        running.sentAt = loop.now
        if send(running, on: connection) {
            flush()
            return
        }
        var error = disconnectError()
        error.wasNeverSent = true
        forgetClosedSocket()
        loop.submit { self.end(error) }
    }

    /// The first use of a prepared statement sends Parse, Bind and Execute together. libpq does that in pipeline mode
    /// only, which lasts for this one step.
    private func send(_ run: RunningStatement, on connection: OpaquePointer) -> Bool {
        if run.stream != nil { return run.statement.sendForRows(on: connection) }
        guard case .prepare = run.step else { return run.statement.send(run.step, on: connection) }
        return PQenterPipelineMode(connection) == 1 && run.statement.sendInPipeline(run.step, on: connection)
    }

    /// Checks an idle session without a round trip: reads and parses what the kernel has.
    ///
    /// - Returns: why the session has ended, if it has; it is then closed.
    package func checkForEnd() -> PostgresError? {
        guard let connection else { return Self.closedError }
        guard isIdle else { return nil }
        if PQconsumeInput(connection) == 1 {
            _ = PQisBusy(connection)  // Parses, and delivers notices.
            deliverNotifications()
            // The end of the stream follows the warning of a crash, and needs another read.
            let isOpen = !notices.hasShutdownWarning || PQconsumeInput(connection) == 1
            if isOpen, !notices.hasFatalNotice, PQstatus(connection) == CONNECTION_OK { return nil }
        }
        var error = disconnectError()
        error.wasNeverSent = true
        release()
        return error
    }

    /// A request to cancel the statement that was abandoned at its deadline; closing the connection does not stop it.
    package func takeCancelRequest() -> CancelRequest? {
        defer { cancelRequest = nil }
        return cancelRequest
    }

    /// Ends the session. A running statement fails with `CLOSED`. The socket is closed when this returns.
    package func close() {
        end(Self.closedError)
    }

    // MARK: Events

    /// Watches the socket. Level-triggered, because libpq may leave bytes in it when its buffer is full.
    func watch() throws(SystemCallError) {
        registration = try loop.register(
            PQsocket(connection), for: waitsForWrite ? [.read, .write] : .read, trigger: .level
        ) { [weak self] readiness in self?.ready(readiness) }
    }

    /// Stops watching: the kernel then holds what the server sends, and the server waits.
    func unwatch() {
        if let registration { loop.deregister(registration) }
        registration = nil
    }

    private func ready(_ readiness: Readiness) {
        guard let connection else { return }
        guard PQconsumeInput(connection) == 1 else {
            // The bytes before the end may hold the result, or the reason.
            if let stream = running?.stream {
                collectLast(stream)
            } else if pipeline == nil {
                collect()
            } else {
                collectFromPipeline()
            }
            if self.connection != nil { end(disconnectError()) }
            return
        }
        if waitsForWrite {
            flush()
            if let stream = running?.stream { flushed(stream) }
        }
        deliverNotifications()
        if pipeline == nil { collect() } else { collectFromPipeline() }
        running?.received(at: loop.now)
        if self.connection != nil, notices.hasFatalNotice, running?.isSent != true { end(disconnectError()) }
    }

    /// Collects complete results. The statement ends with the NULL after its last result.
    private func collect() {
        if let stream = running?.stream { return collect(stream) }
        while let connection, let running, running.isSent, PQisBusy(connection) == 0 {
            guard let result = PQgetResult(connection) else {
                // In a pipeline, NULL follows each part.
                if !running.isInPipeline { finishStep() } else if running.endsPart() { return end(disconnectError()) }
                continue
            }
            defer { PQclear(result) }
            lastReplyAt = loop.now
            if running.isInPipeline, isPartOfPipeline(result, running, connection) { continue }
            switch StatementOutcome(of: result, reusing: &columns) {
            case .result(let decoded):
                running.take(.success(decoded))
            case .failure(var error):
                error.endpoint = endpoint
                if error.endsSession {
                    // Fatal: do not wait for the end of the stream.
                    end(error)
                    return
                }
                running.take(.failure(error))
            case .unsupported:
                end(Self.copyError(endpoint))
                return
            }
        }
    }

    /// Handles the results that only a pipeline has; `false` for all others.
    private func isPartOfPipeline(_ result: OpaquePointer, _ run: RunningStatement, _ connection: OpaquePointer) -> Bool
    {
        run.beginsPart()
        switch PQresultStatus(result) {
        case PGRES_PIPELINE_SYNC:
            if PQexitPipelineMode(connection) == 1 { finishStep() } else { end(disconnectError()) }
            return true
        // Not executed, because preparing it failed.
        case PGRES_PIPELINE_ABORTED: return true
        case PGRES_COMMAND_OK where run.result == nil:
            prepared.expectPrepared(run.statement.key)
            return false
        default: return false
        }
    }

    func finishStep() {
        guard let run = running else { return }
        notices.statementEnded()
        guard let result = run.result else {
            end(disconnectError())
            return
        }
        if run.step != .text, !run.isAbandoned {
            var code: String?
            if case .failure(let error) = result { code = error.code }
            if let next = prepared.next(after: run.step, of: run.statement.key, failure: code) {
                running?.begin(next)
                sendStep()
                return
            }
        }
        running = nil
        latestAnswerNanoseconds =
            run.sentAt >= loop.latestPause ? loop.now.nanoseconds - run.sentAt.nanoseconds : 0
        run.client.connection(self, finished: result)
    }

    private func deliverNotifications() {
        while let connection, let notification = PQnotifies(connection) {
            defer { PQfreemem(notification) }
            guard let onNotification, let channel = notification.pointee.relname else { continue }
            onNotification(
                Notification(
                    channel: String(cString: channel),
                    payload: notification.pointee.extra.map { String(cString: $0) } ?? "",
                    processID: notification.pointee.be_pid))
        }
    }

    /// Sends libpq's buffer. Keeps reading while it is not empty, or both sides would wait for each other.
    func flush() {
        guard let connection, let registration else { return }
        let unsent = PQflush(connection)
        guard unsent >= 0, PQsocket(connection) >= 0 else {
            // libpq has closed the socket, so no event will report it.
            forgetClosedSocket()
            loop.submit { self.end(self.disconnectError()) }
            return
        }
        let isPending = unsent == 1
        if isPending != waitsForWrite {
            waitsForWrite = isPending
            loop.modify(registration, for: isPending ? [.read, .write] : .read)
        }
    }

    // MARK: Time

    func armTimer() {
        guard let running else { return }
        let due = min(running.deadline, running.silentAt)
        guard timer.needsRearm(for: due) else { return }
        timer.set(for: due) { [weak self] in self?.timerFired() }
    }

    private func timerFired() {
        timer.fired()
        guard let statement = running else { return }
        let now = loop.now
        if statement.deadline <= now {
            if statement.client.connectionIsOverdue(self) { return armTimer() }
            if statement.isSent { cancelRequest = connection.flatMap(CancelRequest.init) }
            end(overdueError)
            return
        }
        if statement.silentAt <= now {
            running?.silentAt = .distantFuture
            armTimer()
            statement.client.connectionIsSilent(self)
            return
        }
        armTimer()
    }

    // MARK: End

    /// Closes the session and reports it to the client of the running statement, or to ``onEnd``.
    package func end(_ error: PostgresError) {
        guard connection != nil || running != nil else { return }
        let wasClosed = connection == nil
        if !wasClosed, error.concernsWholeSession { cause = error }
        release()
        if let pipeline {
            self.pipeline = nil
            pipeline.client.connection(self, endedInPipeline: error, unsent: pipeline.unsent.map(\.number))
            return
        }
        if let run = running {
            running = nil
            var error = error
            if run.isProvablyUnexecuted { error.wasNeverSent = true }
            run.client.connection(self, finished: .failure(error))
        } else if !wasClosed, error.code != PostgresError.Code.closed {
            let onEnd = onEnd
            self.onEnd = nil
            onEnd?(error)
        }
    }

    /// Deregisters first, by registration and not by descriptor: libpq may have closed the socket already.
    private func release() {
        guard let connection else { return }
        unwatch()
        timer.cancel()
        PQfinish(connection)
        self.connection = nil
    }

    /// Deregisters at once if libpq has closed its socket, because the kernel may reuse the number before the session
    /// ends.
    private func forgetClosedSocket() {
        guard let registration, let connection, PQsocket(connection) < 0 else { return }
        loop.deregister(registration)
        self.registration = nil
    }
}
