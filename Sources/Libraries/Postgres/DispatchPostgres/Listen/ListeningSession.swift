import DispatchLoop
import PostgresSession

/// A session that listens, and the statements still to run on it, in order.
@LoopActor
final class ListeningSession {
    typealias Completion = @LoopActor (Result<QueryResult, PostgresError>) -> Void

    let leased: PostgresPool.Leased
    /// The pool's generation when the session was leased.
    let generation: UInt32
    /// The handover channel whose notification this session awaits; the predecessor delivers everything before it.
    var awaitedMarker: String?
    private unowned let pool: PostgresPool
    private var queue: [(statement: Statement, completion: Completion?)] = []

    init(
        _ leased: PostgresPool.Leased, of pool: PostgresPool,
        onNotification: @escaping @LoopActor (ListeningSession, Notification) -> Void
    ) {
        self.leased = leased
        self.pool = pool
        generation = pool.generation
        pool.pin(leased.id)
        leased.connection.onNotification = { [weak self] in if let self { onNotification(self, $0) } }
    }

    func isExpired(at now: MonotonicTime) -> Bool { pool.expiry(of: leased.id).map { $0 <= now } ?? false }

    /// Runs a statement after those already queued. `completion` is not called when the session ends first.
    func run(_ statement: Statement, completion: Completion? = nil) {
        queue.append((statement, completion))
        runNext()
    }

    func listen(_ channel: String, completion: Completion? = nil) {
        run(Statement("listen \(Self.quoted(channel))"), completion: completion)
    }

    func unlisten(_ channel: String) { run(Statement("unlisten \(Self.quoted(channel))")) }

    func notify(_ channel: String, completion: Completion? = nil) {
        run(Statement("notify \(Self.quoted(channel))"), completion: completion)
    }

    /// Stops delivering and running. The caller closes the session.
    func stop() {
        leased.connection.onNotification = nil
        queue = []
    }

    private func runNext() {
        guard leased.connection.isIdle, !queue.isEmpty else { return }
        let (statement, completion) = queue.removeFirst()
        let deadline = EventLoop.shared.now + pool.patience
        leased.connection.start(statement, deadline: deadline) { [weak self] result in
            guard let self else { return }
            if leased.connection.isClosed {
                if case .failure(let error) = result { pool.disconnected(leased.id, error) }
                return
            }
            pool.recordReply(leased.id)
            completion?(result)
            runNext()
        }
    }

    private nonisolated static func quoted(_ channel: String) -> String {
        "\"" + channel.replacing("\"", with: "\"\"") + "\""
    }
}
