/// A failure of the database, of the connection to it, or of a wait for it.
///
/// Holds no password, no connection string and no file name of the server. Do not pass it to clients unfiltered:
/// ``message``, ``detail`` and ``hint`` are the server's words and may quote values of rows and parameters (`Key
/// (email)=(a@b) already exists.`), and ``endpoint`` is for the log.
public struct PostgresError: Error, Hashable, Sendable {
    /// The server's SQLSTATE, or one of ``Code``.
    public var code: String
    /// The server's severity; `nil` if the error is not the server's.
    public var severity: Severity?
    /// What happened, in one sentence: in the server's, libpq's or the kernel's own words if they have any.
    public var message: String
    /// The consequence for this connection and for others.
    public var disposition: Disposition
    /// The server, as `host:port`; for the log.
    public var endpoint: String?
    /// Whether the statement provably never left this process, so that it can be retried whatever it does.
    public var wasNeverSent: Bool
    /// What few errors have.
    var extras: Extras?

    /// Creates an error.
    public init(
        code: String, severity: Severity? = nil, message: String, detail: String? = nil, hint: String? = nil,
        disposition: Disposition, endpoint: String? = nil, wasNeverSent: Bool = false,
        subject: Subject? = nil
    ) {
        self.code = code
        self.severity = severity
        self.message = message
        self.disposition = disposition
        self.endpoint = endpoint
        self.wasNeverSent = wasNeverSent
        extras = Extras(detail: detail, hint: hint, subject: subject)
    }

    /// Whether the session is over: the server's severity is FATAL or PANIC, or the error is not the server's.
    package var endsSession: Bool {
        switch severity {
        case .fatal, .panic, nil: true
        case .error, .warning, .notice, .info, .log, .debug: false
        }
    }

    /// Whether it says why the session ended, and not only why one statement failed.
    package var concernsWholeSession: Bool {
        endsSession && ![Code.queryTimeout, Code.cancelled, Code.closed].contains(code)
    }

    /// Whether nothing was tried, because a local setting cannot be used.
    package var isInvalidConninfo: Bool { code == Code.conninfo }

    /// Codes of failures that the server did not report. Names come from `errno(3)` for sockets, and from
    /// `getaddrinfo(3)` for name look-ups.
    public enum Code {
        /// Nothing listens on the port.
        public static let refused = "ECONNREFUSED"
        /// The peer, or a device on the path, reset the connection.
        public static let reset = "ECONNRESET"
        /// The peer did not answer, and the kernel gave up.
        public static let timedOut = "ETIMEDOUT"
        /// No route to the host.
        public static let hostUnreachable = "EHOSTUNREACH"
        /// No route to the network.
        public static let networkUnreachable = "ENETUNREACH"
        /// The Unix socket does not exist, because nothing listens on it.
        public static let noSuchSocket = "ENOENT"
        /// The server closed the connection without an error message.
        public static let ended = "EOF"
        /// The host name does not exist.
        public static let nameUnknown = "ENOTFOUND"
        /// The name look-up failed temporarily.
        public static let nameLookup = "EAI_AGAIN"
        /// The TLS handshake failed, or the server's certificate is not valid.
        public static let tls = "TLS"
        /// The connection string or one of its values cannot be used.
        public static let conninfo = "INVALID_CONNINFO"
        /// The server has the wrong role for `target_session_attrs`.
        public static let wrongRole = "WRONG_ROLE"
        /// Connecting took longer than its deadline.
        public static let connectTimeout = "CONNECT_TIMEOUT"
        /// A statement took longer than its deadline.
        public static let queryTimeout = "QUERY_TIMEOUT"
        /// The login is too slow on this side: computing keys of SCRAM or TLS, or waiting for Kerberos. The message
        /// says which.
        public static let loginKeys = "LOGIN_KEYS"
        /// The password provider of a client failed, or did not answer in time.
        public static let passwordProvider = "PASSWORD_PROVIDER"
        /// What a client runs on each new connection failed.
        public static let setUp = "SETUP_FAILED"
        /// The caller's task was cancelled.
        public static let cancelled = "CANCELLED"
        /// The connection was closed on this side.
        public static let closed = "CLOSED"
        /// A statement was started while another was running on the same connection.
        public static let busy = "CONNECTION_BUSY"
        /// A statement has more parameters than the protocol allows.
        public static let tooManyParameters = "TOO_MANY_PARAMETERS"
        /// A statement contains a NUL character, at which libpq would cut it.
        public static let nulCharacter = "NUL_CHARACTER"
        /// The connection failed in another way.
        public static let connection = "CONNECTION_FAILED"
    }
}

extension PostgresError: CustomStringConvertible {
    /// For the log: `FATAL 57P03: the database system is starting up (127.0.0.1:5432)`.
    public var description: String {
        var text = severity.map { "\($0.rawValue) \(code): \(message)" } ?? "\(code): \(message)"
        if let endpoint { text += " (\(endpoint))" }
        return text
    }
}
