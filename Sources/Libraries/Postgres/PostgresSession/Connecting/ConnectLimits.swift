package import DispatchLoop

/// Time limits of an attempt to connect.
package struct ConnectLimits: Sendable {
    /// The default limit of a login: that of PostgreSQL's `authentication_timeout`.
    package static let standardLogin = Duration.seconds(60)

    /// When names must be resolved and a server must have accepted.
    package var reachDeadline: MonotonicTime
    /// Limit of a login, counted from the server's accept. Generous, because a slow login occupies a process at the
    /// server, and giving up starts another one.
    package var loginTimeout: Duration
    /// Head start of an address before the next one joins or replaces it (RFC 8305 §5).
    package var stagger: Duration
    /// When the attempt ends, whatever its state.
    package var deadline: MonotonicTime

    /// Separate limits for reaching a server and for the login.
    package init(
        reachDeadline: MonotonicTime, loginTimeout: Duration = Self.standardLogin,
        stagger: Duration = .milliseconds(250), deadline: MonotonicTime = .distantFuture
    ) {
        self.reachDeadline = reachDeadline
        self.loginTimeout = loginTimeout
        self.stagger = stagger
        self.deadline = deadline
    }

    /// One deadline for the whole attempt.
    package static func within(_ deadline: MonotonicTime) -> ConnectLimits {
        ConnectLimits(reachDeadline: deadline, deadline: deadline)
    }
}
