package import DispatchLoop

/// Who started a statement and hears of it.
@LoopActor
package protocol StatementDelegate: AnyObject {
    /// The statement has ended, one way or the other. Called exactly once for each statement that was started, never
    /// from within the start.
    func connection(_ connection: PostgresConnection, ended result: Result<QueryResult, PostgresError>)
    /// The statement has been silent for as long as was asked to be told of. It goes on.
    func connectionIsSilent(_ connection: PostgresConnection)
    /// The statement's deadline has passed. The client answers `true` when it has taken the session over as it is, with a
    /// statement that the server is still at; otherwise the session ends, and the client hears of that.
    func connectionIsOverdue(_ connection: PostgresConnection) -> Bool
}

extension StatementDelegate {
    package func connectionIsSilent(_ connection: PostgresConnection) {}
    package func connectionIsOverdue(_ connection: PostgresConnection) -> Bool { false }
}

/// The statement in the making, and who waits for it. A class because it is looked at several times in each round trip, and
/// is too large to be copied each time.
@LoopActor
final class RunningStatement {
    let statement: Statement
    var step: PreparedStatements.Step
    var deadline: MonotonicTime
    /// For how long it may be silent, in nanoseconds, and until when.
    let silence: Int64
    var silentAt: MonotonicTime
    var client: any StatementDelegate
    /// Whether libpq has the step; until then there is nothing that could be answered.
    var isSent = false
    /// Whoever started it does not wait for it any more: no further step is begun.
    var isAbandoned = false
    /// When libpq was given the step.
    var sentAt = MonotonicTime(nanoseconds: 0)
    /// Of several statements in one text that of the last one, unless one failed.
    private(set) var result: Result<QueryResult, PostgresError>?

    init(
        _ statement: Statement, step: PreparedStatements.Step, deadline: MonotonicTime, silence: Int64,
        client: any StatementDelegate, at now: MonotonicTime
    ) {
        self.statement = statement
        self.step = step
        self.deadline = deadline
        self.silence = silence
        silentAt = now.advanced(byNanoseconds: silence)
        self.client = client
    }

    /// The server has said something: its silence begins anew.
    func heard(at now: MonotonicTime) {
        // Never for one whose silence has been reported, or is nobody's concern.
        if silentAt != .distantFuture { silentAt = now.advanced(byNanoseconds: silence) }
    }

    func take(_ result: Result<QueryResult, PostgresError>) {
        if case .failure = self.result { return }
        self.result = result
    }

    /// Begins another step of the same statement.
    func begin(_ step: PreparedStatements.Step) {
        self.step = step
        isSent = false
        isBetweenParts = false
        result = nil
    }

    /// Whether the step goes through libpq's pipeline mode.
    var isInPipeline: Bool { if case .prepare = step { true } else { false } }

    private var isBetweenParts = false
    func beginsPart() { isBetweenParts = false }
    /// A part of the pipeline has ended. Returns whether the one before it had as well: then libpq knows of no further one.
    func endsPart() -> Bool {
        defer { isBetweenParts = true }
        return isBetweenParts
    }

    /// Nothing has been executed: it has not been sent.
    var isProvablyUnexecuted: Bool { !isSent }
}

/// A client that is a closure.
final class StatementCompletion: StatementDelegate {
    private let completion: @LoopActor (Result<QueryResult, PostgresError>) -> Void

    init(_ completion: @escaping @LoopActor (Result<QueryResult, PostgresError>) -> Void) {
        self.completion = completion
    }

    func connection(_ connection: PostgresConnection, ended result: Result<QueryResult, PostgresError>) {
        completion(result)
    }
}
