import DispatchLoop
import PostgresSession

/// Ends a statement whose caller has left and that the server may still run. Its session keeps its slot until the
/// server has ended the statement: a pool that closed it and reconnected would soon have all of the server's sessions
/// waiting for the same lock.
///
/// ```
///   cancelling ── delivered ──▶ waiting ── reply (57014, or a result) ──▶ done: the session is usable again
///      ▲  │ not delivered: later again    │ no reply for `patience`
///      └──┴───────────────────────────────┴─▶ cancel again; after ``maximumDeliveries`` ──▶ lost
///   cancelling ── reply ──▶ done when the cancel request has ended, which would stop the session's next statement
///   any state: the path is dead, or ``limit`` has passed ──▶ lost: the session is closed
/// ```
@LoopActor
final class AbandonedStatement {
    /// How many cancel requests are delivered before the session counts as dead. One is not enough: a request that
    /// arrives before the statement has no effect.
    static let maximumDeliveries = 2
    /// How long a session may hold its slot, for example while the server is frozen.
    static let limit = Duration.seconds(60)
    private static let retryInterval = Duration.seconds(1)

    private let connection: PostgresConnection
    private let patience: Duration
    private let loop = EventLoop.shared
    private var deliveries = 0
    /// The statement's result, once known.
    private var result: Result<QueryResult, PostgresError>?
    /// The cancel request that is queued or running.
    private var request: CancelRequest?
    private var timer: TimerID?
    /// Present until called.
    private var completion: PostgresConnection.Completion?

    /// - Parameters:
    ///   - patience: how long the server may take to end the statement after a cancel request.
    ///   - completion: called when the statement has ended and the session is closed or ready for the next one.
    init(on connection: PostgresConnection, patience: Duration, completion: @escaping PostgresConnection.Completion) {
        self.connection = connection
        self.patience = patience
        self.completion = completion
    }

    /// Begins, and sends the cancel request after `pause`. The session must be running a statement.
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
        // On a dead path neither the request nor the reply arrives.
        guard connection.path != .lost else { return connection.end(connection.overdueError) }
        guard let request = connection.cancelRequestForStatement else {
            // This libpq does not expose the session's cancel key.
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
