internal import CLibPQ
internal import DequeModule
package import DispatchLoop

/// Who sends statements in a pipeline and hears of their ends.
@LoopActor
package protocol PipelineClient: AnyObject {
    /// A statement has been answered. Statements are answered in the order in which they were sent, but for those that
    /// had to be prepared once more.
    func connection(
        _ connection: PostgresConnection, answered number: Int, with result: Result<QueryResult, PostgresError>)
    /// The session has ended, or failed; what it has not answered it will not answer. The statements with the numbers in
    /// `unsent` never left.
    func connection(_ connection: PostgresConnection, endedInPipeline error: PostgresError, unsent: [Int])
}

/// libpq's pipeline mode (PostgreSQL manual, 34.5): statements are sent without waiting for the answers of those before.
///
/// Each statement has its own synchronisation point: it is a transaction of its own, and one that fails takes no other
/// along. Those that come up in one round of the loop go out together at its end. From version 17 on libpq gathers them
/// (`PQsendPipelineSync`), and they are one system call. Before, it sends at each synchronisation point; the kernel is told
/// to hold the pieces back until the last, so that they are at least one segment, and the server wakes up once.
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
        /// Sent, in this order, and not answered.
        var inFlight: Deque<InFlight> = []
        /// What the first of them has been answered with so far.
        var result: Result<QueryResult, PostgresError>?
        /// To be sent at the end of this round of the loop.
        var unsent: [Unsent] = []

        /// From how many statements on it pays to have the kernel hold them back, which is two system calls.
        static let fewestCorked = 3
    }

    /// How many statements have been sent and not been answered.
    package var flightCount: Int { pipeline?.inFlight.count ?? 0 }

    /// Begins to send statements in a pipeline; `false` when the session is not idle.
    package func enterPipeline(client: any PipelineClient) -> Bool {
        guard let connection, isIdle, !isInTransaction, PQenterPipelineMode(connection) == 1 else { return false }
        pipeline = Pipeline(client: client)
        return true
    }

    /// Goes back to one statement at a time; `false` while there are answers to come.
    package func exitPipeline() -> Bool {
        guard let connection, let pipeline, pipeline.inFlight.isEmpty, pipeline.unsent.isEmpty,
            PQexitPipelineMode(connection) == 1
        else { return false }
        self.pipeline = nil
        return true
    }

    /// Sends a statement behind those that are in flight, at the end of this round; the client hears of its end under this
    /// number.
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
            let step = entry.statement.isPrepared ? prepared.step(for: entry.statement.sql) : .text
            guard entry.statement.sendInPipeline(step, on: connection) else {
                loop.submit { self.end(self.disconnectError()) }
                break
            }
            pipeline?.inFlight.append(Pipeline.InFlight(number: entry.number, statement: entry.statement, step: step))
            if case .prepare = step { prepared.expectPrepared(entry.statement.sql) }
        }
        pipeline?.unsent.removeFirst(sent)
        flush()
        if isCorked, PQsocket(connection) >= 0 { _ = clibpq_cork(connection, 0) }
    }

    /// Ends the session, because it owes an answer for too long.
    package func failPipeline(_ error: PostgresError) {
        guard pipeline != nil else { return }
        // Closing alone does not stop what the server is at.
        cancelRequest = connection.flatMap(CancelRequest.init)
        end(error)
    }

    /// Takes the answers that are complete. A statement ends with its synchronisation point.
    func collectFromPipeline() {
        var isBetween = false
        while let connection, pipeline?.inFlight.isEmpty == false, PQisBusy(connection) == 0 {
            // NULL stands between the commands; twice in a row, libpq knows of no further one.
            guard let result = PQgetResult(connection) else {
                if isBetween { return end(disconnectError()) }
                isBetween = true
                continue
            }
            isBetween = false
            defer { PQclear(result) }
            lastReplyAt = loop.now
            switch PQresultStatus(result) {
            case PGRES_PIPELINE_SYNC: finishFlight()
            // Not executed, because what it was prepared by failed.
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

    /// Of a statement's results the last one counts, unless one failed: it may have been prepared first.
    private func set(_ result: Result<QueryResult, PostgresError>) {
        if case .failure = pipeline?.result { return }
        pipeline?.result = result
    }

    private func finishFlight() {
        guard let flight = pipeline?.inFlight.popFirst(), let client = pipeline?.client else { return }
        guard let result = pipeline?.result.take() else {
            end(disconnectError())
            return
        }
        // libpq knows the transaction's status only once nothing is in flight; the tag tells in any case.
        let opensTransaction =
            if case .success(let decoded) = result {
                decoded.command == "BEGIN" || decoded.command == "START TRANSACTION"
            } else { false }
        guard !isInTransaction, !opensTransaction else {
            // Whatever follows would be a part of it.
            end(Self.transactionError(endpoint))
            return
        }
        if case .failure(let error) = result, isPreparedAgain(flight, after: error) {
            sendInPipeline(flight.statement, number: flight.number)
            return
        }
        client.connection(self, answered: flight.number, with: result)
    }

    /// Whether the failure is about the statement's being prepared, and it has not been executed.
    private func isPreparedAgain(_ flight: Pipeline.InFlight, after error: PostgresError) -> Bool {
        switch (flight.step, error.code) {
        case (.text, _): return false
        case (.prepare, "42P05"): return true
        case (.prepare, _):
            prepared.couldNotPrepare(flight.statement.sql)
            return false
        case (.execute, let code):
            return prepared.next(after: flight.step, of: flight.statement.sql, failure: code) != nil
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
