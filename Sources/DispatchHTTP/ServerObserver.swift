public import DispatchLoop
public import HTTP1

/// Hears what a server does, to count and log it; the server itself knows no metrics and no logs. Called on the loop,
/// must not block. Every method has a default that does nothing.
@LoopActor
public protocol ServerObserver: AnyObject, Sendable {
    /// A connection was accepted.
    func connectionOpened()
    /// A connection was closed. Comes once for each that was opened.
    func connectionClosed(_ reason: CloseReason)
    /// A request was answered; `duration` is from its last byte to the answer, both as of their turn of the loop.
    func answered(_ request: RequestHead, status: Int, after duration: Duration)
    /// Something that was no valid request was answered and its connection given up, for `error` or for a timeout.
    func refused(_ error: HTTP1Error?, status: Int)
    /// A request's client went away before its answer was there.
    func abandoned(_ request: RequestHead, after duration: Duration)
    /// No connection is accepted for a while, for lack of descriptors or memory. `errno` says which.
    func acceptPaused(errno: Int32)
    /// Connections are accepted again.
    func acceptResumed()
}

extension ServerObserver {
    /// Does nothing.
    public func connectionOpened() {}
    /// Does nothing.
    public func connectionClosed(_ reason: CloseReason) {}
    /// Does nothing.
    public func answered(_ request: RequestHead, status: Int, after duration: Duration) {}
    /// Does nothing.
    public func refused(_ error: HTTP1Error?, status: Int) {}
    /// Does nothing.
    public func abandoned(_ request: RequestHead, after duration: Duration) {}
    /// Does nothing.
    public func acceptPaused(errno: Int32) {}
    /// Does nothing.
    public func acceptResumed() {}
}
