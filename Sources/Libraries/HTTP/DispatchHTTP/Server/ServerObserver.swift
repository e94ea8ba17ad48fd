public import DispatchLoop

/// Receives a server's events, for metrics and logs; the server itself keeps none. The server calls it on the loop; it
/// must not block. Every method has a default that does nothing.
@LoopActor
public protocol ServerObserver: AnyObject, Sendable {
    /// A connection was accepted.
    func connectionOpened()
    /// A connection was closed. Called once for each opened connection.
    func connectionClosed(_ reason: ConnectionCloseReason)
    /// A request was answered. For a streaming response, called at its end.
    func answered(_ exchange: Exchange)
    /// The head of a streaming response was sent; `answered` follows at its end.
    func streamBegan(_ exchange: Exchange)
    /// Input that was not a valid request, or did not arrive in time, was answered, and its connection closes.
    func refused(_ refusal: RejectedRequest)
    /// The client left before the response to its request.
    func abandoned(_ exchange: Exchange)
    /// The server accepts no connections for a while, for lack of descriptors or memory; `errno` says which.
    func acceptPaused(errno: Int32)
    /// The server accepts connections again.
    func acceptResumed()
}

extension ServerObserver {
    /// Does nothing.
    public func connectionOpened() {}
    /// Does nothing.
    public func connectionClosed(_ reason: ConnectionCloseReason) {}
    /// Does nothing.
    public func answered(_ exchange: Exchange) {}
    /// Does nothing.
    public func streamBegan(_ exchange: Exchange) {}
    /// Does nothing.
    public func refused(_ refusal: RejectedRequest) {}
    /// Does nothing.
    public func abandoned(_ exchange: Exchange) {}
    /// Does nothing.
    public func acceptPaused(errno: Int32) {}
    /// Does nothing.
    public func acceptResumed() {}
}
