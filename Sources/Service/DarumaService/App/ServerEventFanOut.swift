package import DispatchHTTP
package import DispatchLoop

/// Passes what the server does on, in order, to everybody in the service who wants it: the access log, the metrics, the
/// status page. The server itself knows one observer, and none costs nothing.
@LoopActor
package final class ServerEventFanOut: ServerObserver {
    private var listeners: [any ServerObserver] = []

    package init() {}

    /// Whether nobody listens.
    package var isEmpty: Bool { listeners.isEmpty }

    /// From now on `listener` hears everything too. It is kept alive.
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
