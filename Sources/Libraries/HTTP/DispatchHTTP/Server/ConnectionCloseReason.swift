/// Why a connection was closed. The raw value is the metric's label and the log's field.
public enum ConnectionCloseReason: String, Sendable, CaseIterable {
    /// The client closed between two requests.
    case clientClosed = "client_closed"
    /// The client closed in the middle of a request.
    case clientClosedEarly = "client_closed_early"
    /// The connection was reset, or sending failed.
    case reset
    /// The client asked for the close, or speaks HTTP/1.0 without `keep-alive`.
    case requested
    /// The response required the close.
    case answered
    /// The request was rejected: invalid HTTP, or beyond a limit.
    case refused
    /// All general places were taken, and the request was not a health check: 503.
    case overloaded
    /// No request arrived within the idle time.
    case idleTimeout = "idle_timeout"
    /// The header did not arrive in time.
    case headTimeout = "head_timeout"
    /// The body did not arrive in time.
    case bodyTimeout = "body_timeout"
    /// The client did not read the response in time.
    case writeTimeout = "write_timeout"
    /// The client fell too far behind a streaming response.
    case streamOverflow = "stream_overflow"
    /// The connection was idle, or had been within a header longest, and a new one needed its place or descriptor.
    case evicted
    /// The server shut down, and no complete request was unanswered.
    case drained
    /// The server shut down, and a request was unanswered at the deadline.
    case drainForced = "drain_forced"
    /// The event loop could not register the socket.
    case registrationFailed = "registration_failed"
}
