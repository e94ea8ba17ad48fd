/// Why a connection was closed. The metric's label, the log's field and the tests' assertion.
public enum ConnectionCloseReason: String, Sendable, CaseIterable {
    /// The client closed between two requests.
    case clientClosed = "client_closed"
    /// The client closed in the middle of a request.
    case clientClosedEarly = "client_closed_early"
    /// The connection was reset, or sending failed.
    case reset
    /// The client asked for it, or speaks HTTP/1.0 and did not ask for more.
    case requested
    /// The answer asked for it.
    case answered
    /// The request was refused: bad HTTP, or over a limit.
    case refused
    /// All ordinary places were taken, and what was asked for is not essential: answered with 503.
    case overloaded
    /// No request came for the idle time.
    case idleTimeout = "idle_timeout"
    /// The header did not come in time.
    case headTimeout = "head_timeout"
    /// The body did not come in time.
    case bodyTimeout = "body_timeout"
    /// The client did not read its answer.
    case writeTimeout = "write_timeout"
    /// The client did not read a streaming answer as fast as it was written.
    case streamOverflow = "stream_overflow"
    /// It was idle, or had been at a header longest, and another one needed the place or the descriptor.
    case evicted
    /// The server is shutting down, and nothing was in flight or it has been answered.
    case drained
    /// The server is shutting down, and the answer was not there in time.
    case drainForced = "drain_forced"
    /// The loop would not watch it.
    case registrationFailed = "registration_failed"
}
