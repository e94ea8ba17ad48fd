public import DispatchLoop
public import HTTP1

/// What a responder says to a request.
public enum RouteResult: Sendable {
    /// The answer is there. Costs no task and no allocation.
    case now(Response)
    /// The answer takes a while. The operation is cancelled when the client has gone. It and its child tasks run on the
    /// loop, wherever they have no actor of their own: long computations belong on an executor of their own.
    case later(@LoopActor () async -> Response)
    /// The answer's head is there, and its body comes in pieces: with chunked framing, or for HTTP/1.0 until the
    /// connection closes. The closure is called once, on the loop, when the head has gone out, and not for `HEAD`; what
    /// it is given may be kept and written to until it ends. A body in the response is the first piece.
    case stream(Response, @LoopActor (BodyStream) -> Void)

    /// The response, whichever way it comes; of a streaming answer its head. For tests that try routes without a socket.
    @LoopActor
    public func response() async -> Response {
        switch self {
        case .now(let response), .stream(let response, _): response
        case .later(let operation): await operation()
        }
    }
}

/// Answers requests. Called on the loop, one request at a time per connection, and must not block.
@LoopActor
public protocol Responder: Sendable {
    /// The answer to `request`.
    func respond(to request: RequestHead) -> RouteResult

    /// Whether `request` is answered on a reserved place too, when all others are taken: health, and no more than that.
    /// Asked only there. By default nothing is.
    func isHealthCheck(_ request: RequestHead) -> Bool
}

extension Responder {
    /// Nothing is.
    public func isHealthCheck(_ request: RequestHead) -> Bool { false }
}
