package import DispatchLoop

/// Receives what happens to a statement.
@LoopActor
package protocol StatementDelegate: AnyObject {
    /// The statement succeeded or failed. Called exactly once for each statement started, never from within the start.
    func connection(_ connection: PostgresConnection, finished result: Result<QueryResult, PostgresError>)
    /// The server has been silent for the time given at the start. The statement continues.
    func connectionIsSilent(_ connection: PostgresConnection)
    /// The statement's deadline has passed. Return `true` after taking over the session with its running statement;
    /// otherwise the session ends and the statement fails.
    func connectionIsOverdue(_ connection: PostgresConnection) -> Bool
}

extension StatementDelegate {
    package func connectionIsSilent(_ connection: PostgresConnection) {}
    package func connectionIsOverdue(_ connection: PostgresConnection) -> Bool { false }
}

/// The session's current statement and its client. A class, because it is read several times per round trip and is too
/// large to copy each time.
@LoopActor
final class RunningStatement {
    let statement: Statement
    var step: PreparedStatements.Step
    var deadline: MonotonicTime
    /// How long the server may be silent, in nanoseconds, and until when.
    let silence: Int64
    /// Set when its result is delivered in parts.
    let stream: StatementStream?
    var silentAt: MonotonicTime
    var client: any StatementDelegate
    /// Whether libpq has the step.
    var isSent = false
    /// The caller no longer waits for the result, so no further step begins.
    var isAbandoned = false
    /// When libpq got the step.
    var sentAt = MonotonicTime(nanoseconds: 0)
    /// The last result of a text with several statements, or the first failure.
    private(set) var result: Result<QueryResult, PostgresError>?

    init(
        _ statement: Statement, step: PreparedStatements.Step, deadline: MonotonicTime, silence: Int64,
        client: any StatementDelegate, at now: MonotonicTime, stream: StatementStream? = nil
    ) {
        self.stream = stream
        self.statement = statement
        self.step = step
        self.deadline = deadline
        self.silence = silence
        silentAt = now.advanced(byNanoseconds: silence)
        self.client = client
    }

    /// The server sent something: restarts the silence limit.
    func received(at now: MonotonicTime) {
        // `distantFuture`: silence was reported already, or has no limit.
        if silentAt != .distantFuture { silentAt = now.advanced(byNanoseconds: silence) }
    }

    /// The server's turn, until this deadline.
    func expectsServer(until deadline: MonotonicTime, at now: MonotonicTime) {
        if isAbandoned { return }
        self.deadline = deadline
        silentAt = now.advanced(byNanoseconds: silence)
    }

    /// The caller's turn, which has no limit here.
    func expectsNothing() {
        if isAbandoned { return }
        (deadline, silentAt) = (.distantFuture, .distantFuture)
    }

    func take(_ result: Result<QueryResult, PostgresError>) {
        if case .failure = self.result { return }
        self.result = result
    }

    /// Begins the statement's next step.
    func begin(_ step: PreparedStatements.Step) {
        self.step = step
        isSent = false
        isBetweenParts = false
        result = nil
    }

    /// Whether the step uses libpq's pipeline mode.
    var isInPipeline: Bool { if case .prepare = step { true } else { false } }

    private var isBetweenParts = false
    func beginsPart() { isBetweenParts = false }
    /// Ends a part of the pipeline. Returns whether no part has begun since the previous end: libpq has no further one
    /// then.
    func endsPart() -> Bool {
        defer { isBetweenParts = true }
        return isBetweenParts
    }

    /// Whether nothing has been executed, because nothing was sent.
    var isProvablyUnexecuted: Bool { !isSent }
}

/// A delegate that calls a closure.
final class StatementCompletion: StatementDelegate {
    private let completion: @LoopActor (Result<QueryResult, PostgresError>) -> Void

    init(_ completion: @escaping @LoopActor (Result<QueryResult, PostgresError>) -> Void) {
        self.completion = completion
    }

    func connection(_ connection: PostgresConnection, finished result: Result<QueryResult, PostgresError>) {
        completion(result)
    }
}
