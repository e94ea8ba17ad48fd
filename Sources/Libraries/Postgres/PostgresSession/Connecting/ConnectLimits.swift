package import DispatchLoop

/// How long an attempt to connect may take.
package struct ConnectLimits: Sendable {
    /// What a server may take to let somebody in: PostgreSQL's own default (`authentication_timeout`).
    package static let standardLogin = Duration.seconds(60)

    /// By when a name must be known and a server must have accepted.
    package var reachDeadline: MonotonicTime
    /// How long a log-in may take, from the moment a server accepted: one that is slow is a process there, and giving it up
    /// makes another one.
    package var loginTimeout: Duration
    /// How much of a start an address has before the next one is tried beside it or in its place (RFC 8305 §5).
    package var stagger: Duration
    /// By when all is over, whatever state it is in.
    package var deadline: MonotonicTime

    /// Limits of which the log-in's begins when a server has accepted.
    package init(
        reachDeadline: MonotonicTime, loginTimeout: Duration = Self.standardLogin,
        stagger: Duration = .milliseconds(250), deadline: MonotonicTime = .distantFuture
    ) {
        self.reachDeadline = reachDeadline
        self.loginTimeout = loginTimeout
        self.stagger = stagger
        self.deadline = deadline
    }

    /// One deadline for everything.
    package static func within(_ deadline: MonotonicTime) -> ConnectLimits {
        ConnectLimits(reachDeadline: deadline, deadline: deadline)
    }
}
