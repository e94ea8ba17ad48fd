internal import CLibPQ
internal import DispatchLoop
internal import Glibc

// Statements whose rows are delivered as they arrive, and COPY.
extension PostgresConnection {
    /// Starts a statement whose result is delivered in parts, as it arrives: one statement, not several. As
    /// ``start(_:deadline:silence:client:)`` otherwise.
    ///
    /// - Parameters:
    ///   - timeout: how long the server may send and take nothing while the receiver waits for it. Then the session is
    ///     closed, unless the receiver takes it over.
    package func startStream(
        _ statement: Statement, timeout: Duration, silence: Int64 = .max, receiver: any StreamReceiver
    ) {
        start(
            RunningStatement(
                statement, step: .text, deadline: loop.now + timeout, silence: silence, client: receiver, at: loop.now,
                stream: StatementStream(receiver: receiver, timeout: timeout)))
    }

    /// Delivers further parts, after the receiver wanted none.
    package func resumeStream() {
        guard let run = running, let stream = run.stream, stream.isPaused else { return }
        stream.isPaused = false
        do throws(SystemCallError) {
            try watch()
        } catch {
            let error = PostgresError.connectionFailed("\(error)")
            return loop.submit { self.end(error) }
        }
        run.expectsServer(until: loop.now + stream.timeout, at: loop.now)
        armTimer()
        continueLater(stream)
    }

    /// Drops what the statement still sends, and ends a `COPY … FROM STDIN` with an error. The statement runs on.
    package func discardStream() {
        guard let stream = running?.stream, !stream.isDiscarding else { return }
        stream.isDiscarding = true
        _ = stream.takePart()
        if stream.stage == .copyingIn { endCopy(failing: "the sender has left") }
        resumeStream()
    }

    /// Sends data of `COPY … FROM STDIN`. Returns whether more may follow now; otherwise after
    /// ``StreamReceiver/connectionTakesData(_:)``.
    package func send(copyData bytes: [UInt8]) -> Bool {
        guard let connection, let run = running, let stream = run.stream, stream.stage == .copyingIn else {
            return false
        }
        let isTaken = bytes.withUnsafeBytes { buffer in
            guard let address = buffer.baseAddress else { return true }
            return PQputCopyData(connection, address.assumingMemoryBound(to: CChar.self), Int32(buffer.count)) == 1
        }
        guard isTaken else {
            let error = disconnectError()
            loop.submit { self.end(error) }
            return false
        }
        flush()
        guard isFlushPending else { return true }
        stream.awaitsFlush = true
        run.expectsServer(until: loop.now + stream.timeout, at: loop.now)
        armTimer()
        return false
    }

    /// Ends `COPY … FROM STDIN`; with `reason`, the server undoes it and fails with 57014 and this reason.
    package func endCopy(failing reason: String? = nil) {
        guard let connection, let run = running, let stream = run.stream, stream.stage == .copyingIn else { return }
        stream.stage = .results
        stream.awaitsFlush = false
        guard PQputCopyEnd(connection, reason) == 1 else {
            let error = disconnectError()
            return loop.submit { self.end(error) }
        }
        run.expectsServer(until: loop.now + stream.timeout, at: loop.now)
        armTimer()
        flush()
    }

    // MARK: Events

    /// Collects what has arrived, up to one full part: others want the loop too.
    func collect(_ stream: StatementStream) {
        while let connection, let run = running, run.stream === stream, run.isSent, !stream.isPaused {
            if stream.isPartFull {
                deliver(stream)
                return continueLater(stream)
            }
            switch stream.stage {
            case .copyingIn: return
            case .copyingOut:
                guard copyOut(stream, connection) else { return }
            case .results:
                guard PQisBusy(connection) == 0 else { return deliver(stream) }
                guard let result = PQgetResult(connection) else {
                    // One part more than the receiver may want: there is nothing to resume afterwards.
                    if let part = stream.takePart() { _ = stream.receiver.connection(self, received: part) }
                    return finishStep()
                }
                defer { PQclear(result) }
                lastReplyAt = loop.now
                take(result, run, stream)
            }
        }
    }

    /// The socket has ended. Of what has arrived, the last says why.
    func collectLast(_ stream: StatementStream) {
        stream.isDiscarding = true
        while let connection, let run = running, run.stream === stream, stream.stage == .results,
            PQisBusy(connection) == 0, let result = PQgetResult(connection)
        {
            defer { PQclear(result) }
            take(result, run, stream)
            _ = stream.takePart()
        }
    }

    /// Moves the data that has arrived; `false` when there is none.
    private func copyOut(_ stream: StatementStream, _ connection: OpaquePointer) -> Bool {
        var buffer: UnsafeMutablePointer<CChar>?
        let count = Int(PQgetCopyData(connection, &buffer, 1))
        defer { if let buffer { PQfreemem(buffer) } }
        switch count {
        case 0:
            deliver(stream)
            return false
        case -1: stream.stage = .results  // The end: its result follows.
        case ..<0:
            end(disconnectError())
            return false
        default:
            lastReplyAt = loop.now
            buffer?.withMemoryRebound(to: UInt8.self, capacity: count) {
                stream.append(data: UnsafeBufferPointer(start: $0, count: count))
            }
        }
        return true
    }

    private func take(_ result: OpaquePointer, _ run: RunningStatement, _ stream: StatementStream) {
        switch PQresultStatus(result) {
        case PGRES_SINGLE_TUPLE: stream.append(row: result, reusing: &columns)
        case PGRES_COPY_OUT: stream.stage = .copyingOut
        case PGRES_COPY_IN:
            stream.stage = .copyingIn
            if stream.isDiscarding { return endCopy(failing: "the sender has left") }
            run.expectsNothing()
            stream.receiver.connectionTakesData(self)
        default:
            switch StatementOutcome(of: result, reusing: &columns) {
            case .result(let decoded): run.take(.success(decoded))
            case .failure(var error):
                error.endpoint = endpoint
                if error.endsSession { return end(error) }
                run.take(.failure(error))
            case .unsupported: end(Self.copyError(endpoint))
            }
        }
    }

    private func deliver(_ stream: StatementStream) {
        guard let run = running, let part = stream.takePart() else { return }
        if stream.receiver.connection(self, received: part) {
            if !stream.isDiscarding { run.expectsServer(until: loop.now + stream.timeout, at: loop.now) }
        } else if running === run, connection != nil, !stream.isDiscarding {
            stream.isPaused = true
            run.expectsNothing()
            unwatch()
        }
    }

    private func continueLater(_ stream: StatementStream) {
        guard !stream.isContinuing else { return }
        stream.isContinuing = true
        loop.submit {
            stream.isContinuing = false
            self.collect(stream)
        }
    }

    /// The server takes data again: what was sent has left.
    func flushed(_ stream: StatementStream) {
        guard stream.awaitsFlush, !isFlushPending else { return }
        stream.awaitsFlush = false
        running?.expectsNothing()
        stream.receiver.connectionTakesData(self)
    }
}
