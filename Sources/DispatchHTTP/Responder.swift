public import DispatchLoop
public import HTTP1

/// What a responder says to a request.
public enum Answer: Sendable {
    /// The answer is there. Costs no task and no allocation.
    case now(Response)
    /// The answer takes a while. The operation is cancelled when the client has gone.
    case later(@LoopActor () async -> Response)

    /// The response, whichever way it comes. For tests that try routes without a socket.
    @LoopActor
    public func response() async -> Response {
        switch self {
        case .now(let response): response
        case .later(let operation): await operation()
        }
    }
}

/// Answers requests. Called on the loop, one request at a time per connection, and must not block.
@LoopActor
public protocol Responder: Sendable {
    /// The answer to `request`.
    func respond(to request: RequestHead) -> Answer
}
