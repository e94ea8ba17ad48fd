package import DispatchHTTP
package import DispatchLoop
package import HTTP1

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

    package func connectionClosed(_ reason: CloseReason) {
        for listener in listeners { listener.connectionClosed(reason) }
    }

    package func answered(_ request: RequestHead, status: Int, after duration: Duration) {
        for listener in listeners { listener.answered(request, status: status, after: duration) }
    }

    package func refused(_ error: HTTP1Error?, status: Int) {
        for listener in listeners { listener.refused(error, status: status) }
    }

    package func abandoned(_ request: RequestHead, after duration: Duration) {
        for listener in listeners { listener.abandoned(request, after: duration) }
    }

    package func acceptPaused(errno: Int32) {
        for listener in listeners { listener.acceptPaused(errno: errno) }
    }

    package func acceptResumed() {
        for listener in listeners { listener.acceptResumed() }
    }
}
