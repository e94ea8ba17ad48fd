internal import CLibPQ
public import DispatchLoop

/// One session with the server: a libpq connection that never blocks.
///
/// It belongs to the event loop and runs one statement at a time. Between statements its socket stays watched, so that
/// the session's end is known when it comes and not when it is needed.
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
public final class PostgresConnection {
    package typealias Completion = @LoopActor (Result<QueryResult, PostgresError>) -> Void

    /// The server as `host:port`, for the log.
    public nonisolated let endpoint: String
    /// The process id of the server's end, as in `pg_stat_activity`.
    public nonisolated let backendProcessID: Int32

    /// Called once when the session ends by itself while no statement runs.
    package var onEnd: (@LoopActor (PostgresError) -> Void)?
    /// Called for each notification that arrives (`LISTEN`).
    package var onNotification: (@LoopActor (Notification) -> Void)?
    /// When the server was last heard answering.
    package internal(set) var lastReplyAt: MonotonicTime
    /// How long the latest statement's answer took from the moment at which it was sent, in nanoseconds; 0 where that says
    /// nothing of the server, because this process was not running all the while.
    package private(set) var latestAnswerNanoseconds: Int64 = 0

    /// What the server can be asked to stop, after a statement was given up at its deadline.
    var cancelRequest: CancelRequest?
    /// `nil` once closed.
    var connection: OpaquePointer?
    let notices: NoticeReceiver
    private var registration: Registration?
    /// What the session ended for.
    private(set) var cause: PostgresError?
    let loop = EventLoop.shared
    private(set) var running: RunningStatement?
    /// Present while statements are sent one behind the other; `running` is `nil` then.
    var pipeline: Pipeline?
    var prepared = PreparedStatements()
    /// The latest result's columns. The next ones are nearly always the same.
    var columns: [QueryResult.Column] = []
    /// One timer serves all statements: it is not cancelled with each but finds, when it fires, what is running then.
    private var timer = DeadlineTimer()
    private var waitsForWrite = false

    /// Takes over a connection that libpq has finished making.
    static func adopt(
        _ connection: OpaquePointer, notices: NoticeReceiver, endpoint: String
    ) -> Result<PostgresConnection, PostgresError> {
        PQsetnonblocking(connection, 1)
        let adopted = PostgresConnection(connection, notices: notices, endpoint: endpoint)
        do throws(SystemCallError) {
            // Level-triggered: libpq may leave bytes in the socket when its buffer is full.
            adopted.registration = try adopted.loop.register(PQsocket(connection), for: .read, trigger: .level) {
                [weak adopted] readiness in adopted?.ready(readiness)
            }
            EncryptionWatch.shared.opened(adopted)
            return .success(adopted)
        } catch {
            adopted.close()
            return .failure(
                PostgresError(code: PostgresError.Code.connection, message: "\(error)", disposition: .outage))
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

    /// Starts a statement; `client` hears of its end exactly once, never from within this call. It is sent at the end of
    /// this round of the loop.
    ///
    /// - Parameters:
    ///   - deadline: when to give up. The session is closed then, unless the client takes it over.
    ///   - silence: for how long, in nanoseconds, the server may say nothing before the client is told. The statement goes
    ///     on.
    package func start(
        _ statement: Statement, deadline: MonotonicTime, silence: Int64 = .max, client: any StatementDelegate
    ) {
        guard let connection, isIdle else {
            let error = isClosed ? endingCause : Self.busyError
            loop.submit { client.connection(self, ended: .failure(error)) }
            return
        }
        // Within a transaction a statement that turns out not to be prepared would take the transaction along.
        let isPrepared = statement.isPrepared && PQtransactionStatus(connection) == PQTRANS_IDLE
        running = RunningStatement(
            statement, step: isPrepared ? prepared.step(for: statement.sql) : .text, deadline: deadline,
            silence: silence, client: client, at: loop.now)
        loop.deferWrite(.request) { [self] in sendStep() }
        armTimer()
    }

    /// Starts a statement; `completion` is called exactly once, never from within this call.
    package func start(_ statement: Statement, deadline: MonotonicTime, completion: @escaping Completion) {
        start(statement, deadline: deadline, client: StatementCompletion(completion))
    }

    /// Hands the running statement, if there is one, to somebody else: `completion` hears of its end instead of whoever
    /// started it, who is not called any more.
    package func takeOverStatement(deadline: MonotonicTime, completion: @escaping Completion) {
        guard let run = running else { return }
        guard run.isSent else {
            // Nobody needs it sent any more.
            running = nil
            loop.submit { completion(.failure(Self.cancelledError)) }
            return
        }
        running?.deadline = deadline
        running?.silentAt = .distantFuture
        running?.client = StatementCompletion(completion)
        run.isAbandoned = true
        armTimer()
    }

    /// The means to stop what the session is running; `nil` when it runs nothing, or has ended.
    package var cancelRequestForStatement: CancelRequest? {
        guard let connection, let running, running.isSent else { return nil }
        return CancelRequest(connection)
    }

    /// Stops waiting for the running statement, if there is one, by ending the session: the statement may be running.
    func abandonStatement() {
        guard running != nil else { return }
        cancelRequest = cancelRequestForStatement
        end(Self.cancelledError)
    }

    private func sendStep() {
        // It may have been given up meanwhile, and the session with it.
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

    /// A statement's first use as a prepared one goes out in one piece, Parse, Bind and Execute: libpq does that in a
    /// pipeline only, which lasts for this one step.
    private func send(_ run: RunningStatement, on connection: OpaquePointer) -> Bool {
        guard case .prepare = run.step else { return run.statement.send(run.step, on: connection) }
        return PQenterPipelineMode(connection) == 1 && run.statement.sendInPipeline(run.step, on: connection)
    }

    /// The free check: reads what the kernel has and parses it, without a round trip.
    ///
    /// - Returns: why the session has ended, if it has; it is closed then.
    package func checkForEnd() -> PostgresError? {
        guard let connection else { return Self.closedError }
        guard isIdle else { return nil }
        if PQconsumeInput(connection) == 1 {
            _ = PQisBusy(connection)  // Parses; notices are delivered by it.
            deliverNotifications()
            if !notices.hasEnding, PQstatus(connection) == CONNECTION_OK { return nil }
        }
        var error = disconnectError()
        error.wasNeverSent = true
        release()
        return error
    }

    /// The means to stop, at the server, the statement that was given up at its deadline; closing the connection does not.
    package func takeCancelRequest() -> CancelRequest? {
        defer { cancelRequest = nil }
        return cancelRequest
    }

    /// Ends the session. A running statement fails with `CLOSED`. The socket is closed when this returns.
    public func close() {
        end(Self.closedError)
    }

    // MARK: Events

    private func ready(_ readiness: Readiness) {
        guard let connection else { return }
        guard PQconsumeInput(connection) == 1 else {
            // What came before the end may hold the answer, or the reason.
            if pipeline == nil { collect() } else { collectFromPipeline() }
            if self.connection != nil { end(disconnectError()) }
            return
        }
        if waitsForWrite { flush() }
        deliverNotifications()
        if pipeline == nil { collect() } else { collectFromPipeline() }
        running?.heard(at: loop.now)
        if self.connection != nil, notices.hasEnding, running?.isSent != true { end(disconnectError()) }
    }

    /// Takes the results that are complete. The statement ends with the NULL after its last result, not before.
    private func collect() {
        while let connection, let running, running.isSent, PQisBusy(connection) == 0 {
            guard let result = PQgetResult(connection) else {
                // In a pipeline NULL stands behind each of its parts.
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
                    // The server's last words; there is no point in waiting for the end to be read as well.
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

    /// Deals with the results that only a pipeline has; `false` for those that any statement has.
    private func isPartOfPipeline(_ result: OpaquePointer, _ run: RunningStatement, _ connection: OpaquePointer) -> Bool
    {
        run.beginsPart()
        switch PQresultStatus(result) {
        case PGRES_PIPELINE_SYNC:
            if PQexitPipelineMode(connection) == 1 { finishStep() } else { end(disconnectError()) }
            return true
        // Not executed, because it could not be prepared.
        case PGRES_PIPELINE_ABORTED: return true
        case PGRES_COMMAND_OK where run.result == nil:
            prepared.expectPrepared(run.statement.sql)
            return false
        default: return false
        }
    }

    private func finishStep() {
        guard let run = running else { return }
        guard let result = run.result else {
            end(disconnectError())
            return
        }
        if run.step != .text, !run.isAbandoned {
            var code: String?
            if case .failure(let error) = result { code = error.code }
            if let next = prepared.next(after: run.step, of: run.statement.sql, failure: code) {
                running?.begin(next)
                sendStep()
                return
            }
        }
        running = nil
        latestAnswerNanoseconds =
            run.sentAt >= loop.latestPause ? loop.now.nanoseconds - run.sentAt.nanoseconds : 0
        run.client.connection(self, ended: result)
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

    /// Sends what libpq holds. While it cannot send all, reading has to go on as well, or both sides wait for room.
    func flush() {
        guard let connection, let registration else { return }
        let unsent = PQflush(connection)
        guard unsent >= 0, PQsocket(connection) >= 0 else {
            // libpq has closed the socket, so no event will ever say so.
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

    private func armTimer() {
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

    // MARK: The end

    /// Closes the session and tells whoever is waiting.
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
            run.client.connection(self, ended: .failure(error))
        } else if !wasClosed, error.code != PostgresError.Code.closed {
            let onEnd = onEnd
            self.onEnd = nil
            onEnd?(error)
        }
    }

    /// Deregisters first, by what was registered: libpq may have closed the socket itself by now.
    private func release() {
        guard let connection else { return }
        if let registration { loop.deregister(registration) }
        registration = nil
        timer.cancel()
        PQfinish(connection)
        self.connection = nil
    }

    /// At once, where libpq has closed its socket: the number may be somebody else's before the session is ended.
    private func forgetClosedSocket() {
        guard let registration, let connection, PQsocket(connection) < 0 else { return }
        loop.deregister(registration)
        self.registration = nil
    }
}
