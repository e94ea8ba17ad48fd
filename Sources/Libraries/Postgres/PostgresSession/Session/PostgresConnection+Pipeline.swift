internal import CLibPQ
internal import DequeModule
package import DispatchLoop

/// Receives the results of statements sent in a pipeline.
@LoopActor
package protocol PipelineClient: AnyObject {
    /// A statement's result arrived. Results arrive in the order of sending, except for statements that had to be
    /// prepared again.
    func connection(
        _ connection: PostgresConnection, answered number: Int, with result: Result<QueryResult, PostgresError>)
    /// The session ended. Statements without a result will get none; those with the numbers in `unsent` were never
    /// sent.
    func connection(_ connection: PostgresConnection, endedInPipeline error: PostgresError, unsent: [Int])
}

/// libpq's pipeline mode (PostgreSQL manual, 34.5): sends statements without waiting for earlier results.
///
/// Each statement has its own synchronization point, so it is its own transaction and its failure affects no other. The
/// session sends the statements of one round of the loop together, at its end. libpq 17 and later buffer them
/// (`PQsendPipelineSync`) and need one system call. Older versions write at each synchronization point; TCP_CORK then
/// joins the writes into one segment, so that the server wakes up once.
extension PostgresConnection {
    struct Pipeline {
        struct InFlight {
            let number: Int
            let statement: Statement
            let step: PreparedStatements.Step
        }

        struct Unsent {
            let number: Int
            let statement: Statement
        }

        let client: any PipelineClient
        /// Sent, in this order, and without a complete result.
        var inFlight: Deque<InFlight> = []
        /// The result so far of the first one in flight.
        var result: Result<QueryResult, PostgresError>?
        /// Sent at the end of this round of the loop.
        var unsent: [Unsent] = []

        /// The fewest statements for which corking pays; it costs two system calls.
        static let fewestCorked = 3
    }

    /// The number of statements in flight.
    package var flightCount: Int { pipeline?.inFlight.count ?? 0 }

    /// Enters pipeline mode; `false` when the session is not idle.
    package func enterPipeline(client: any PipelineClient) -> Bool {
        guard let connection, isIdle, !isInTransaction, PQenterPipelineMode(connection) == 1 else { return false }
        pipeline = Pipeline(client: client)
        return true
    }

    /// Returns to one statement at a time; `false` while results are outstanding.
    package func exitPipeline() -> Bool {
        guard let connection, let pipeline, pipeline.inFlight.isEmpty, pipeline.unsent.isEmpty,
            PQexitPipelineMode(connection) == 1
        else { return false }
        self.pipeline = nil
        return true
    }

    /// Sends a statement behind those in flight, at the end of this round. `number` identifies it to the client.
    package func sendInPipeline(_ statement: Statement, number: Int) {
        guard let isFirst = pipeline?.unsent.isEmpty else { return }
        pipeline?.unsent.append(Pipeline.Unsent(number: number, statement: statement))
        if isFirst { loop.deferWrite(.request) { self.sendUnsent() } }
    }

    private func sendUnsent() {
        guard let connection, let count = pipeline?.unsent.count else { return }
        let isCorked = count >= Pipeline.fewestCorked && clibpq_can_gather() == 0 && clibpq_cork(connection, 1) == 1
        var sent = 0
        while sent < count, let entry = pipeline?.unsent[sent] {
            sent += 1
            let step = entry.statement.isPrepared ? prepared.step(for: entry.statement.key) : .text
            guard entry.statement.sendInPipeline(step, on: connection) else {
                loop.submit { self.end(self.disconnectError()) }
                break
            }
            pipeline?.inFlight.append(Pipeline.InFlight(number: entry.number, statement: entry.statement, step: step))
            if case .prepare = step { prepared.expectPrepared(entry.statement.key) }
        }
        pipeline?.unsent.removeFirst(sent)
        flush()
        if isCorked, PQsocket(connection) >= 0 { _ = clibpq_cork(connection, 0) }
    }

    /// Ends the session, because a result is overdue.
    package func failPipeline(_ error: PostgresError) {
        guard pipeline != nil else { return }
        // Closing the connection does not stop the statement at the server.
        cancelRequest = connection.flatMap(CancelRequest.init)
        end(error)
    }

    /// Collects complete results. A statement ends with its synchronization point.
    func collectFromPipeline() {
        var isBetween = false
        while let connection, pipeline?.inFlight.isEmpty == false, PQisBusy(connection) == 0 {
            // NULL separates the statements; two in a row mean that libpq knows of no further one.
            guard let result = PQgetResult(connection) else {
                if isBetween { return end(disconnectError()) }
                isBetween = true
                continue
            }
            isBetween = false
            defer { PQclear(result) }
            lastReplyAt = loop.now
            switch PQresultStatus(result) {
            case PGRES_PIPELINE_SYNC: finishFirst()
            // Not executed, because preparing it failed.
            case PGRES_PIPELINE_ABORTED: break
            default: take(StatementOutcome(of: result, reusing: &columns))
            }
        }
    }

    private func take(_ outcome: StatementOutcome) {
        switch outcome {
        case .result(let decoded): set(.success(decoded))
        case .failure(var error):
            error.endpoint = endpoint
            if error.endsSession { end(error) } else { set(.failure(error)) }
        case .unsupported: end(Self.copyError(endpoint))
        }
    }

    /// Keeps the last of a statement's results, or the first failure: preparing it has a result as well.
    private func set(_ result: Result<QueryResult, PostgresError>) {
        if case .failure = pipeline?.result { return }
        pipeline?.result = result
    }

    private func finishFirst() {
        guard let first = pipeline?.inFlight.popFirst(), let client = pipeline?.client else { return }
        notices.statementEnded()
        guard let result = pipeline?.result.take() else {
            end(disconnectError())
            return
        }
        // libpq knows the transaction status only while nothing is in flight; the command tag is always there.
        let opensTransaction =
            if case .success(let decoded) = result {
                decoded.command == "BEGIN" || decoded.command == "START TRANSACTION"
            } else { false }
        guard !isInTransaction, !opensTransaction else {
            // The statements that follow would run inside it.
            end(Self.transactionError(endpoint))
            return
        }
        if case .failure(let error) = result, mustPrepareAgain(first, after: error) {
            sendInPipeline(first.statement, number: first.number)
            return
        }
        client.connection(self, answered: first.number, with: result)
    }

    /// Whether only the preparation failed, so that the statement was not executed and can be sent again.
    private func mustPrepareAgain(_ entry: Pipeline.InFlight, after error: PostgresError) -> Bool {
        switch (entry.step, error.code) {
        case (.text, _): return false
        case (.prepare, "42P05"): return true
        case (.prepare, _):
            prepared.couldNotPrepare(entry.statement.key)
            return false
        case (.execute, let code):
            return prepared.next(after: entry.step, of: entry.statement.key, failure: code) != nil
        }
    }

    static func copyError(_ endpoint: String) -> PostgresError {
        PostgresError(
            code: "0A000", message: "COPY is not supported here", disposition: .statement, endpoint: endpoint)
    }

    private static func transactionError(_ endpoint: String) -> PostgresError {
        PostgresError(
            code: "25001", message: "a statement in a pipeline opened a transaction",
            hint: "Check a connection out for a transaction.", disposition: .discard, endpoint: endpoint)
    }
}
