public import HTTP1

/// A request and what became of it, for those who count and log.
public struct Exchange: Sendable {
    /// The request, with the id that the server's `requestIdentifier` gave it.
    public let request: RequestHead
    /// The answer's status; 0 when there was none because the client went away.
    public let status: Int
    /// How many bytes of the answer's body were handed to the connection, without chunked framing.
    public let bodyBytes: Int
    /// From the turn of the loop in which the request's last byte was read to the answer; for a streaming answer, to its
    /// end.
    public var duration: Duration { .nanoseconds(nanoseconds) }
    /// The same in nanoseconds, for those who count each request.
    public let nanoseconds: Int64
    /// The client.
    public let peer: PeerAddress
    /// Why the connection closed before a streaming answer had been ended; `nil` when it had.
    public let abortReason: ConnectionCloseReason?
}

/// Something that was no valid request, or did not arrive in time, and was answered.
public struct RejectedRequest: Sendable {
    /// What is wrong with it; `nil` for a timeout or for lack of a place.
    public let error: HTTP1Error?
    /// The answer's status.
    public let status: Int
    /// How many bytes the answer's body has.
    public let bodyBytes: Int
    /// The client.
    public let peer: PeerAddress
}
