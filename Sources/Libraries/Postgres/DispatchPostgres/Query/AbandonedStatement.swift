import DispatchLoop
import PostgresSession

/// A statement that nobody waits for any more and that the server may still be at. Until the server has let go of it, its
/// session counts and its slot is taken: a pool that closed and connected anew would soon have all of the server's sessions
/// waiting for the same lock.
///
/// ```
///   cancelling ── delivered ──▶ waiting ── answered (57014, or a result) ──▶ done: the session is as good as before
///      ▲  │ not delivered: again, later   │ nothing for `patience`
///      └──┴──────────────────────────────┴─▶ cancelling once more; after ``maximumDeliveries`` ──▶ lost
///   cancelling ── answered ──▶ done when the request is over: it would stop the session's next statement
///   from anywhere: the way is dead, or ``limit`` has passed ──▶ lost: the session is closed
/// ```
@LoopActor
final class AbandonedStatement {
    /// How often the server is asked before the session is taken for dead. Once is not enough: a request that arrives
    /// before the statement does nothing.
    static let maximumDeliveries = 2
    /// How long a session may hold its slot. A server that is frozen for longer than this loses it.
    static let limit = Duration.seconds(60)
    private static let retryInterval = Duration.seconds(1)

    private let connection: PostgresConnection
    private let patience: Duration
    private let loop = EventLoop.shared
    private var deliveries = 0
    /// What became of the statement, once that is known.
    private var result: Result<QueryResult, PostgresError>?
    /// The request to cancel that waits or is under way.
    private var request: CancelRequest?
    private var timer: TimerID?
    /// Present until it was called.
    private var completion: PostgresConnection.Completion?

    /// - Parameters:
    ///   - patience: how long the session may take to end a statement that it was told to end.
    ///   - completion: hears of the statement's end; the session is closed then, or can take the next one.
    init(on connection: PostgresConnection, patience: Duration, completion: @escaping PostgresConnection.Completion) {
        self.connection = connection
        self.patience = patience
        self.completion = completion
    }

    /// Begins; the server is asked to stop after `pause`. The session must be running a statement.
    func begin(after pause: Duration = .zero) {
        connection.takeOverStatement(deadline: loop.now + Self.limit) { [self] result in
            self.result = result
            if let timer { loop.cancel(timer) }
            timer = nil
            if let request, !connection.isClosed { request.withdraw() } else { finish(result) }
        }
        if pause > .zero { later(pause) } else { cancel() }
    }

    private func finish(_ result: Result<QueryResult, PostgresError>) {
        let completion = completion
        self.completion = nil
        completion?(result)
    }

    private func cancel() {
        guard result == nil else { return }
        // What cannot be reached cannot be told, and its end is not seen either.
        guard connection.path != .lost else { return connection.end(connection.overdueError) }
        guard let request = connection.cancelRequestForStatement else {
            // This libpq does not tell the session's key.
            deliveries += 1
            return later(patience)
        }
        self.request = request
        request.send { [self] isDelivered in
            self.request = nil
            if let result {
                guard request.mayStillArrive else { return finish(result) }
                connection.end(connection.overdueError)
                return finish(.failure(connection.overdueError))
            }
            if isDelivered { deliveries += 1 }
            later(isDelivered ? patience : Self.retryInterval)
        }
    }

    private func later(_ pause: Duration) {
        timer = loop.schedule(at: loop.now + pause) { [self] in
            timer = nil
            if deliveries < Self.maximumDeliveries { cancel() } else { connection.end(connection.overdueError) }
        }
    }
}
