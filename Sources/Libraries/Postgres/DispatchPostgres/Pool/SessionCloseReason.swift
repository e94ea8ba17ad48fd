/// Why a connection was closed: a log field, a metric label and a test's assertion.
public enum SessionCloseReason: String, Sendable, Hashable, CaseIterable {
    /// Idle longer than the idle timeout, and not needed for the minimum.
    case idleTimeout = "idle_timeout"
    /// At the end of its lifetime.
    case lifetime
    /// More idle connections than the maximum.
    case surplusIdle = "surplus_idle"
    /// Its generation was retired.
    case retired
    /// Ended by the server or the network.
    case ended
    /// Failed while leased.
    case failed
    /// Failed the check.
    case checkFailed = "check_failed"
    /// Its network path was dead, while another connection answered the same query.
    case silent
    /// Closed without proof that it was dead, to free a slot for a new connection.
    case madeRoom = "made_room"
    /// Its statement or transaction could not be ended in time after release.
    case resetFailed = "reset_failed"
    /// A connect that a younger one overtook.
    case overtaken
    /// A connect that hung.
    case hung
    /// The server has the wrong role.
    case wrongRole = "wrong_role"
    /// It listened, and the last subscription has ended.
    case unsubscribed
    /// The server refused `LISTEN` on it.
    case listenRefused = "listen_refused"
    /// The pool was closed.
    case drained
    /// The pool was closed, and the connection was not released in time.
    case drainDeadline = "drain_deadline"
}
