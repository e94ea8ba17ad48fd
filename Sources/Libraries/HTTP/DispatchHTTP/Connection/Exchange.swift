public import HTTP1

/// A request and its response, for metrics and logs.
public struct Exchange: Sendable {
    /// The request, with the id that the server's `requestIdentifier` gave it.
    public let request: RequestHead
    /// The response's status; 0 if the client left before the response.
    public let status: Int
    /// The size of the response's body in bytes, without chunked framing.
    public let bodyBytes: Int
    /// The time from the loop's round that read the request's last byte to the response, or to the end of a streaming
    /// one.
    public var duration: Duration { .nanoseconds(nanoseconds) }
    /// The same in nanoseconds.
    public let nanoseconds: Int64
    /// The client.
    public let peer: PeerAddress
    /// Why the connection closed before the end of a streaming response; `nil` if the response is complete.
    public let abortReason: ConnectionCloseReason?
}

/// The response to input that was not a valid request or did not arrive in time.
public struct RejectedRequest: Sendable {
    /// The parser's error; `nil` for a timeout.
    public let error: HTTP1Error?
    /// The response's status.
    public let status: Int
    /// The size of the response's body in bytes.
    public let bodyBytes: Int
    /// The client.
    public let peer: PeerAddress
}
