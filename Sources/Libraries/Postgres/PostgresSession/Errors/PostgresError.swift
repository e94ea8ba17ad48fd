/// A failure of the database, of the way to it, or of a wait for it; made to be shown to a reader.
///
/// Holds no password, no connection string and no file name of the server, and is safe to give to a client as it is;
/// ``endpoint`` alone is for the log.
public struct PostgresError: Error, Hashable, Sendable {
    /// An SQLSTATE where the server gave one, otherwise one of ``Code``.
    public var code: String
    /// The server's severity; `nil` where the server did not speak.
    public var severity: Severity?
    /// What happened, in one sentence.
    public var message: String
    /// The server's detail, if it gave one.
    public var detail: String?
    /// What to do about it, if anyone knows.
    public var hint: String?
    /// What it means for the connection and for others.
    public var disposition: Disposition
    /// The server it concerns, as `host:port`; for the log.
    public var endpoint: String?
    /// Whether the statement provably never left this process, so that any statement may be tried again.
    public var wasNeverSent: Bool

    /// An error with the given parts.
    public init(
        code: String, severity: Severity? = nil, message: String, detail: String? = nil, hint: String? = nil,
        disposition: Disposition, endpoint: String? = nil, wasNeverSent: Bool = false
    ) {
        self.code = code
        self.severity = severity
        self.message = message
        self.detail = detail
        self.hint = hint
        self.disposition = disposition
        self.endpoint = endpoint
        self.wasNeverSent = wasNeverSent
    }

    /// Whether the session it happened in is over: the server said FATAL or PANIC, or said nothing at all.
    package var endsSession: Bool {
        switch severity {
        case .fatal, .panic, nil: true
        case .error, .warning, .notice: false
        }
    }

    /// Whether it says why a session is over, and not only what became of one statement.
    package var concernsWholeSession: Bool {
        endsSession && ![Code.queryTimeout, Code.cancelled, Code.closed].contains(code)
    }

    /// Whether nothing was tried, because a setting on this side cannot be used.
    package var isInvalidConninfo: Bool { code == Code.conninfo }

    /// The codes of failures in which the server did not speak. Those of the socket are named as in `errno(3)`, those
    /// of name look-up as in `getaddrinfo(3)`.
    public enum Code {
        /// Nothing listens there.
        public static let refused = "ECONNREFUSED"
        /// The peer, or something on the way, reset the connection.
        public static let reset = "ECONNRESET"
        /// The kernel gave up on the peer.
        public static let timedOut = "ETIMEDOUT"
        /// No way to the host.
        public static let hostUnreachable = "EHOSTUNREACH"
        /// No way to the network.
        public static let networkUnreachable = "ENETUNREACH"
        /// There is no such Unix socket: nothing listens there.
        public static let noSuchSocket = "ENOENT"
        /// The connection ended without a word from the server.
        public static let ended = "EOF"
        /// The name is not known.
        public static let nameUnknown = "ENOTFOUND"
        /// The name could not be looked up just now.
        public static let nameLookup = "EAI_AGAIN"
        /// TLS could not be agreed on, or the server's certificate does not hold.
        public static let tls = "TLS"
        /// The connection string or one of its values cannot be used.
        public static let conninfo = "INVALID_CONNINFO"
        /// The server has the wrong role for `target_session_attrs`.
        public static let wrongRole = "WRONG_ROLE"
        /// Connecting took longer than its deadline.
        public static let connectTimeout = "CONNECT_TIMEOUT"
        /// A statement took longer than its deadline.
        public static let queryTimeout = "QUERY_TIMEOUT"
        /// The keys of a log-in take too long: those of SCRAM or TLS to compute, or Kerberos to answer. The message says which.
        public static let loginKeys = "LOGIN_KEYS"
        /// The caller's task was cancelled.
        public static let cancelled = "CANCELLED"
        /// The connection was closed on this side.
        public static let closed = "CLOSED"
        /// A statement was started while another was running on the same connection.
        public static let busy = "CONNECTION_BUSY"
        /// A statement has more parameters than the protocol can count.
        public static let tooManyParameters = "TOO_MANY_PARAMETERS"
        /// A statement has a NUL character in it, at which libpq would cut it off.
        public static let nulCharacter = "NUL_CHARACTER"
        /// The connection failed in a way that nothing above names.
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
