package import DispatchHTTP
package import DispatchLoop

/// Forwards the servers' events, in order, to the access log, the metrics and the status page, because a server has
/// only one observer.
@LoopActor
package final class ServerEventFanOut: ServerObserver {
    private var listeners: [any ServerObserver] = []

    package init() {}

    /// Whether there are no listeners.
    package var isEmpty: Bool { listeners.isEmpty }

    /// Adds a listener. Keeps a strong reference.
    package func add(_ listener: any ServerObserver) {
        listeners.append(listener)
    }

    package func connectionOpened() {
        for listener in listeners { listener.connectionOpened() }
    }

    package func connectionClosed(_ reason: ConnectionCloseReason) {
        for listener in listeners { listener.connectionClosed(reason) }
    }

    package func answered(_ exchange: Exchange) {
        for listener in listeners { listener.answered(exchange) }
    }

    package func streamBegan(_ exchange: Exchange) {
        for listener in listeners { listener.streamBegan(exchange) }
    }

    package func refused(_ refusal: RejectedRequest) {
        for listener in listeners { listener.refused(refusal) }
    }

    package func abandoned(_ exchange: Exchange) {
        for listener in listeners { listener.abandoned(exchange) }
    }

    package func acceptPaused(errno: Int32) {
        for listener in listeners { listener.acceptPaused(errno: errno) }
    }

    package func acceptResumed() {
        for listener in listeners { listener.acceptResumed() }
    }
}
