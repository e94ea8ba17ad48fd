public import HTTP1

/// Everything that can be set about a server.
public struct ServerConfiguration: Sendable {
    /// What to listen on: an IPv4 or IPv6 address, `localhost` for both loopback addresses, `*` or nothing for every
    /// address of both families.
    public var host: String
    /// The port; 0 lets the kernel choose one.
    public var port: UInt16
    /// How many connections the kernel keeps that have not been accepted.
    public var backlog: Int32
    /// Whether other processes may listen on the same port, which the kernel then spreads connections over.
    public var reusePort: Bool
    /// The most connections at a time. The oldest idle one makes room for a new one; without an idle one, new ones wait
    /// in the backlog.
    public var maxConnections: Int
    /// What a request may hold.
    public var limits: ParserLimits
    /// How long what may take.
    public var timeouts: Timeouts
    /// How many bytes of answers may wait for one connection before no more of its requests are begun. A single answer
    /// may be larger.
    public var maxPendingOutput: Int
    /// How many bytes of a streaming answer may wait for a client that does not read; it is dropped when a further piece
    /// would exceed them. `nil` is `maxPendingOutput`.
    public var maxStreamBacklog: Int?
    /// How many bytes are read and dropped at most after a last answer, so that the client can read that answer.
    public var maxLingerBytes: Int

    /// How long what may take.
    public struct Timeouts: Sendable, Equatable {
        /// From the connection, or from a request's first byte, to the end of its header.
        public var head: Duration
        /// Between two pieces of a body.
        public var bodyStall: Duration
        /// For a whole body.
        public var body: Duration
        /// Between two requests.
        public var idle: Duration
        /// Between two pieces of an answer that the client takes.
        public var writeStall: Duration
        /// For everything that waits to be sent.
        public var write: Duration
        /// For the client to notice its last answer and close.
        public var linger: Duration

        /// Timeouts, each with its default.
        public init(
            head: Duration = .seconds(10), bodyStall: Duration = .seconds(30), body: Duration = .seconds(120),
            idle: Duration = .seconds(75), writeStall: Duration = .seconds(30), write: Duration = .seconds(120),
            linger: Duration = .seconds(2)
        ) {
            self.head = head
            self.bodyStall = bodyStall
            self.body = body
            self.idle = idle
            self.writeStall = writeStall
            self.write = write
            self.linger = linger
        }
    }

    /// A configuration, each setting with its default.
    public init(
        host: String = "", port: UInt16 = 8080, backlog: Int32 = 1024, reusePort: Bool = false,
        maxConnections: Int = 10_000, limits: ParserLimits = ParserLimits(), timeouts: Timeouts = Timeouts(),
        maxPendingOutput: Int = 65_536, maxStreamBacklog: Int? = nil, maxLingerBytes: Int = 4_194_304
    ) {
        self.host = host
        self.port = port
        self.backlog = backlog
        self.reusePort = reusePort
        self.maxConnections = maxConnections
        self.limits = limits
        self.timeouts = timeouts
        self.maxPendingOutput = maxPendingOutput
        self.maxStreamBacklog = maxStreamBacklog
        self.maxLingerBytes = maxLingerBytes
    }
}
