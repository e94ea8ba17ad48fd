package import DispatchLoop

/// Who started a statement and hears of it.
@LoopActor
package protocol StatementClient: AnyObject {
    /// The statement has ended, one way or the other. Called exactly once for each statement that was started, never
    /// from within the start.
    func connection(_ connection: PostgresConnection, ended result: Result<QueryResult, PostgresError>)
    /// The statement has been silent for as long as was asked to be told of. It goes on.
    func connectionIsSilent(_ connection: PostgresConnection)
}

/// The statement in the making, and who waits for it. A class because it is looked at several times in each round trip, and
/// is too large to be copied each time.
@LoopActor
final class StatementRun {
    let statement: Statement
    var step: PreparedStatements.Step
    var deadline: MonotonicTime
    var silence: MonotonicTime
    var client: any StatementClient
    /// Whether libpq has the step; until then there is nothing that could be answered.
    var isSent = false
    /// Of several statements in one text that of the last one, unless one failed.
    private(set) var result: Result<QueryResult, PostgresError>?

    init(
        _ statement: Statement, step: PreparedStatements.Step, deadline: MonotonicTime, silence: MonotonicTime,
        client: any StatementClient
    ) {
        self.statement = statement
        self.step = step
        self.deadline = deadline
        self.silence = silence
        self.client = client
    }

    func take(_ result: Result<QueryResult, PostgresError>) {
        if case .failure = self.result { return }
        self.result = result
    }

    /// Begins another step of the same statement.
    func begin(_ step: PreparedStatements.Step) {
        self.step = step
        isSent = false
        result = nil
    }

    /// Nothing has been executed yet: it has not been sent, or the server has only been asked to prepare it.
    var isProvablyUnexecuted: Bool {
        if case .prepare = step { true } else { !isSent }
    }
}

/// A client that is a closure.
final class StatementCompletion: StatementClient {
    private let completion: @LoopActor (Result<QueryResult, PostgresError>) -> Void

    init(_ completion: @escaping @LoopActor (Result<QueryResult, PostgresError>) -> Void) {
        self.completion = completion
    }

    func connection(_ connection: PostgresConnection, ended result: Result<QueryResult, PostgresError>) {
        completion(result)
    }

    func connectionIsSilent(_ connection: PostgresConnection) {}
}
