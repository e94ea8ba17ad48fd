public import HTTP1

/// Everything that can be set about a server.
public struct ServerConfiguration: Sendable {
    /// What to listen on: an IPv4 or IPv6 address, a name that `/etc/hosts` has, `localhost` for both loopback addresses,
    /// `*` or nothing for every address of both families.
    public var host: String
    /// The port; 0 lets the kernel choose one.
    public var port: UInt16
    /// How many connections the kernel keeps that have not been accepted.
    public var backlog: Int32
    /// Whether other processes may listen on the same port, which the kernel then spreads connections over.
    public var reusePort: Bool
    /// The most connections at a time. The oldest idle one makes room for a new one; without an idle one, the one that
    /// has been at a header longest; without that, new ones get a reserved place.
    public var maxConnections: Int
    /// How many connections there may be beyond `maxConnections`. Only what the responder calls essential is answered on
    /// them, everything else gets 503 with `Retry-After`, and they are closed after their answer. With these taken too,
    /// new connections wait in the backlog.
    public var reservedConnections: Int
    /// What a request may hold.
    public var limits: ParserLimits
    /// How long what may take.
    public var timeouts: Timeouts
    /// How many requests of one connection are answered before the others have their turn: who pipelines does not hold
    /// them up. Fewer when many pipeline.
    public var requestsPerTurn: Int
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
        /// From a request's first byte to the end of its header. A connection on which nothing has come yet is idle:
        /// browsers and load balancers open some ahead, and it can make room like any other.
        public var head: Duration
        /// Between two pieces of a body.
        public var bodyStall: Duration
        /// For a whole body.
        public var body: Duration
        /// Until the first byte of a request, between two requests, and from the connection to the first.
        public var idle: Duration
        /// Between two pieces of an answer that the client takes.
        public var writeStall: Duration
        /// For everything that waits to be sent.
        public var write: Duration
        /// For the client to notice its last answer and close.
        public var linger: Duration
        /// For everything that waits for a client on a reserved place.
        public var reserved: Duration
        /// How long the server, once it leaves, waits for the next request of an idle connection, to answer it with
        /// `Connection: close`. It closes a connection at once that has been idle for longer.
        public var drainGrace: Duration

        /// Timeouts, each with its default.
        public init(
            head: Duration = .seconds(10), bodyStall: Duration = .seconds(30), body: Duration = .seconds(120),
            idle: Duration = .seconds(75), writeStall: Duration = .seconds(30), write: Duration = .seconds(120),
            linger: Duration = .seconds(2), reserved: Duration = .seconds(2), drainGrace: Duration = .seconds(1)
        ) {
            self.head = head
            self.bodyStall = bodyStall
            self.body = body
            self.idle = idle
            self.writeStall = writeStall
            self.write = write
            self.linger = linger
            self.reserved = reserved
            self.drainGrace = drainGrace
        }

        /// The same with nothing longer than `reserved`.
        var onReservedPlace: Timeouts {
            Timeouts(
                head: min(head, reserved), bodyStall: min(bodyStall, reserved), body: min(body, reserved),
                idle: min(idle, reserved), writeStall: min(writeStall, reserved), write: min(write, reserved),
                linger: min(linger, reserved), reserved: reserved, drainGrace: min(drainGrace, reserved))
        }
    }

    /// A configuration, each setting with its default.
    public init(
        host: String = "", port: UInt16 = 8080, backlog: Int32 = 1024, reusePort: Bool = false,
        maxConnections: Int = 10_000, reservedConnections: Int = 16, limits: ParserLimits = ParserLimits(),
        timeouts: Timeouts = Timeouts(), requestsPerTurn: Int = 32, maxPendingOutput: Int = 65_536,
        maxStreamBacklog: Int? = nil, maxLingerBytes: Int = 4_194_304
    ) {
        self.host = host
        self.port = port
        self.backlog = backlog
        self.reusePort = reusePort
        self.maxConnections = maxConnections
        self.reservedConnections = reservedConnections
        self.limits = limits
        self.timeouts = timeouts
        self.requestsPerTurn = requestsPerTurn
        self.maxPendingOutput = maxPendingOutput
        self.maxStreamBacklog = maxStreamBacklog
        self.maxLingerBytes = maxLingerBytes
    }
}
