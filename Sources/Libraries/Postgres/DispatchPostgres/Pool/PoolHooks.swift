import DispatchLoop
package import PostgresSession

/// What a client on top adds to the life of each session. None of it is in ``PoolSettings``, whose values can be compared.
package struct PoolHooks: Sendable {
    /// Asked for the password before each connect; in a task of its own.
    package var password: (@Sendable () async throws -> String)?
    /// How long ``password`` may take.
    package var passwordTimeout = Duration.seconds(5)
    /// Prepares each new session, which serves when it has ended; in a task of its own. What it throws fails the connect.
    package var setUp: (@Sendable (PostgresConnection) async throws -> Void)?
    /// How long ``setUp`` may take.
    package var setUpTimeout = Duration.seconds(10)
    /// Run on each session that comes back from a lease, after the rollback.
    package var reset: Reset?
    /// Receives the notices of all sessions, with the SQL of the running statement; on the loop.
    package var onNotice: (@LoopActor @Sendable (PostgresError, PostgresConnection, _ sql: String?) -> Void)?
    /// Receives each statement of a lease that has ended; on the loop.
    package var onStatement: (@LoopActor @Sendable (StatementEnd) -> Void)?

    /// None.
    package init() {}

    /// A statement that resets a session.
    package struct Reset: Sendable {
        package let statement: Statement
        /// Whether ``PoolHooks/setUp`` must run again.
        package let undoesSetUp: Bool
        /// Whether it drops prepared statements.
        let forgetsPrepared: Bool

        package init(_ sql: String, undoesSetUp: Bool) {
            statement = Statement(sql)
            self.undoesSetUp = undoesSetUp
            // A guess is enough: too many forgotten cost one round trip each, too few a miss each.
            let words = sql.lowercased()
            forgetsPrepared = words.contains("discard") || words.contains("deallocate")
        }
    }

    /// A statement that has ended.
    package struct StatementEnd: Sendable {
        package let sql: String
        package let duration: Duration
        package let rowCount: Int?
        /// The error's code, if it failed.
        package let errorCode: String?
        /// Whether it succeeded on another session than the one it began on.
        package let wasSaved: Bool
        /// The backend of the session that answered; `nil` if none is left.
        package let backendProcessID: Int32?

        package init(
            sql: String, duration: Duration, rowCount: Int?, errorCode: String?, wasSaved: Bool,
            backendProcessID: Int32?
        ) {
            self.sql = sql
            self.duration = duration
            self.rowCount = rowCount
            self.errorCode = errorCode
            self.wasSaved = wasSaved
            self.backendProcessID = backendProcessID
        }
    }
}

/// Runs a hook in a task of its own, and reports its end on the loop: once, unless it is cancelled.
@LoopActor
final class HookTask {
    enum Outcome<Value: Sendable>: Sendable {
        case value(Value)
        case failed(any Error)
        case timedOut
    }

    let began = EventLoop.shared.now
    private var task: Task<Void, Never>?
    private var timer: TimerID?
    private var isOver = false

    init<Value: Sendable>(
        timeout: Duration, _ hook: @escaping @Sendable () async throws -> Value,
        completion: @escaping @LoopActor (Outcome<Value>) -> Void
    ) {
        let end: @LoopActor (Outcome<Value>) -> Void = { [weak self] outcome in
            guard let self, !isOver else { return }
            cancel()
            completion(outcome)
        }
        timer = EventLoop.shared.schedule(at: .now() + timeout) { end(.timedOut) }
        // Detached: others' code takes neither the loop's time nor the values of whichever task began the connect.
        task = Task.detached {
            let outcome: Outcome<Value>
            do { outcome = .value(try await hook()) } catch { outcome = .failed(error) }
            EventLoop.shared.submit { end(outcome) }
        }
    }

    /// Cancels the hook's task, and reports nothing more. A hook that ignores cancellation goes on unheard.
    func cancel() {
        isOver = true
        if let timer { EventLoop.shared.cancel(timer) }
        timer = nil
        task?.cancel()
        task = nil
    }
}
