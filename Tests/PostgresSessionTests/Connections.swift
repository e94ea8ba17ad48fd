import DispatchLoop
import PostgresTestKit

@testable import PostgresSession

/// Connects; the attempt may open several sockets at once.
@LoopActor
func connect(_ url: String) async throws -> PostgresConnection {
    let result = await withCheckedContinuation { continuation in
        ConnectAttempt(ConnectionConfiguration(url), limits: .within(soon), client: UnlimitedSockets.shared) {
            continuation.resume(returning: $0)
        }.start()
    }
    return try result.get()
}

@LoopActor
func connect() async throws -> PostgresConnection {
    try await connect(try await SharedSandbox.get().connectionURL())
}

extension PostgresConnection {
    /// Runs a statement and returns its result.
    func query(
        _ sql: String, parameters: [String?] = [], isPrepared: Bool = false, deadline: MonotonicTime
    ) async throws(PostgresError) -> QueryResult {
        let statement = try Statement(sql, parameters: parameters, isPrepared: isPrepared)
        let result: Result<QueryResult, PostgresError> = await withCheckedContinuation { continuation in
            start(statement, deadline: deadline) { continuation.resume(returning: $0) }
        }
        if isClosed { takeCancelRequest()?.send { _ in } }
        return try result.get()
    }
}

private final class UnlimitedSockets: ConnectAttemptClient {
    static let shared = UnlimitedSockets()
    func attemptMayOpenAnotherSocket(_ attempt: ConnectAttempt) -> Bool { true }
    func attemptClosedExtraSocket(_ attempt: ConnectAttempt) {}
    func attemptProgressed(_ attempt: ConnectAttempt, isAnswer: Bool) {}
    func attemptLostServer(_ attempt: ConnectAttempt) {}
}

var soon: MonotonicTime { .now() + .seconds(10) }
