public import DispatchLoop

/// Hears what a server does, to count and log it; the server itself knows no metrics and no logs. Called on the loop,
/// must not block. Every method has a default that does nothing.
@LoopActor
public protocol ServerObserver: AnyObject, Sendable {
    /// A connection was accepted.
    func connectionOpened()
    /// A connection was closed. Comes once for each that was opened.
    func connectionClosed(_ reason: ConnectionCloseReason)
    /// A request was answered. A streaming answer is reported when it ends.
    func answered(_ exchange: Exchange)
    /// The head of a streaming answer was sent; `answered` follows when it ends.
    func streamBegan(_ exchange: Exchange)
    /// Something that was no valid request was answered and its connection given up, for an error or for a timeout.
    func refused(_ refusal: RejectedRequest)
    /// A request's client went away before its answer was there.
    func abandoned(_ exchange: Exchange)
    /// No connection is accepted for a while, for lack of descriptors or memory. `errno` says which.
    func acceptPaused(errno: Int32)
    /// Connections are accepted again.
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
