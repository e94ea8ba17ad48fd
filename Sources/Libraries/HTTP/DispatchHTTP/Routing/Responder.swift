public import DispatchLoop
public import HTTP1

/// A responder's answer to a request.
public enum RouteResult: Sendable {
    /// The response. Costs no task and no allocation.
    case now(Response)
    /// An operation that makes the response. The server cancels it when the client leaves. It and its child tasks run
    /// on the loop unless they have an actor of their own, so long computations belong on another executor.
    case later(@LoopActor () async -> Response)
    /// The head of a response whose body comes in pieces: chunked, or until the connection closes in HTTP/1.0. The
    /// server calls the closure once, on the loop, after it has sent the head, but not for `HEAD`. The closure may keep
    /// the stream and write to it until it ends. A body in the response is the first piece.
    case stream(Response, @LoopActor (BodyStream) -> Void)

    /// The response in each case; of a stream, its head. For tests of routes without a socket.
    @LoopActor
    public func response() async -> Response {
        switch self {
        case .now(let response), .stream(let response, _): response
        case .later(let operation): await operation()
        }
    }
}

/// Answers requests. The server calls it on the loop, one request at a time per connection. It must not block.
@LoopActor
public protocol Responder: Sendable {
    /// The answer to `request`.
    func respond(to request: RequestHead) -> RouteResult

    /// Whether `request` is a health check, which the server answers even on a reserved place. It asks only there.
    func isHealthCheck(_ request: RequestHead) -> Bool
}

extension Responder {
    /// Returns `false`.
    public func isHealthCheck(_ request: RequestHead) -> Bool { false }
}
