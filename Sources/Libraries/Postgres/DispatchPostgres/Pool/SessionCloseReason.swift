/// Why a connection was closed: the field in the log, the label in the metrics, the assertion in the tests.
public enum SessionCloseReason: String, Sendable, Hashable, CaseIterable {
    /// Idle longer than it may be, and not needed for the minimum.
    case idleTimeout = "idle_timeout"
    /// As old as it may become.
    case lifetime
    /// More idle connections than may be kept.
    case surplusIdle = "surplus_idle"
    /// Its generation was retired.
    case retired
    /// The server, or something on the way, ended it.
    case ended
    /// It failed with a query on it.
    case failed
    /// It did not pass the check for a sign of life.
    case checkFailed = "check_failed"
    /// Its way was dead, while another connection answered the same query.
    case silent
    /// Given up unproven, to make room for a connection that may work.
    case madeRoom = "made_room"
    /// What it was running could not be ended in time when it came home.
    case resetFailed = "reset_failed"
    /// A connect that another one overtook.
    case overtaken
    /// A connect that hung in silence.
    case hung
    /// The server has the wrong role.
    case wrongRole = "wrong_role"
    /// It was listening, and nobody subscribes any more.
    case unsubscribed
    /// The pool was closed.
    case drained
    /// The pool was closed, and the connection did not come home in time.
    case drainDeadline = "drain_deadline"
}
