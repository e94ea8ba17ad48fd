public import HTTP1

/// All settings of a server.
public struct ServerConfiguration: Sendable {
    /// The address to listen on: an IPv4 or IPv6 address, a host name, `localhost` for both loopback addresses, `*` or
    /// an empty string for all addresses of both families.
    public var host: String
    /// The port; 0 lets the kernel choose one.
    public var port: UInt16
    /// The most connections that the kernel queues before the server accepts them.
    public var backlog: Int32
    /// Whether other processes may listen on the same port (`SO_REUSEPORT`); the kernel spreads connections over them.
    public var reusePort: Bool
    /// The most connections at a time. A new one evicts the oldest idle one, then the one that has been within a header
    /// longest. Otherwise it gets a reserved place.
    public var maxConnections: Int
    /// The connections beyond `maxConnections`. On them the server answers health checks, and everything else with 503
    /// and `Retry-After`, and closes them after the response. When these are taken too, new connections wait in the
    /// backlog.
    public var reservedConnections: Int
    /// The size limits of a request.
    public var limits: ParserLimits
    /// The time limits of a connection.
    public var timeouts: Timeouts
    /// The most requests of one connection answered before the others get their turn, so that a client that pipelines
    /// does not delay them. Fewer when many clients pipeline.
    public var requestsPerTurn: Int
    /// The most response bytes that may wait on one connection; beyond them the server takes no further request from
    /// it. A single response may be larger.
    public var maxPendingOutput: Int
    /// The most bytes of a streaming response that may wait for a client; a piece that would exceed them closes the
    /// connection. `nil` means `maxPendingOutput`.
    public var maxStreamBacklog: Int?
    /// The most bytes that the server reads and drops after a last response, so that the client can read that response.
    public var maxLingerBytes: Int
    /// Makes the server's own error responses: to invalid requests, timeouts, and 503.
    public var errorResponse: ErrorResponse

    /// The time limits of a connection.
    public struct Timeouts: Sendable, Equatable {
        /// From a request's first byte to the end of its header. Before the first byte a connection is idle: browsers
        /// and load balancers open some ahead, and it can be evicted like any other.
        public var head: Duration
        /// Between two pieces of a body.
        public var bodyStall: Duration
        /// For a whole body.
        public var body: Duration
        /// Before the first byte of each request.
        public var idle: Duration
        /// Between two pieces of a response that the client takes.
        public var writeStall: Duration
        /// For all output that waits to be sent.
        public var write: Duration
        /// For the client to read its last response and close.
        public var linger: Duration
        /// The upper bound of all other timeouts on a reserved place.
        public var reserved: Duration
        /// How long a server that is shutting down waits for a request on an idle connection, which it answers with
        /// `Connection: close`, and for the rest of a header. It closes connections that have been idle for longer
        /// immediately.
        public var drainGrace: Duration

        /// Creates timeouts.
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

        /// The same, bounded by `reserved`.
        var onReservedPlace: Timeouts {
            Timeouts(
                head: min(head, reserved), bodyStall: min(bodyStall, reserved), body: min(body, reserved),
                idle: min(idle, reserved), writeStall: min(writeStall, reserved), write: min(write, reserved),
                linger: min(linger, reserved), reserved: reserved, drainGrace: min(drainGrace, reserved))
        }
    }

    /// Creates a configuration.
    public init(
        host: String = "", port: UInt16 = 8080, backlog: Int32 = 1024, reusePort: Bool = false,
        maxConnections: Int = 10_000, reservedConnections: Int = 16, limits: ParserLimits = ParserLimits(),
        timeouts: Timeouts = Timeouts(), requestsPerTurn: Int = 32, maxPendingOutput: Int = 65_536,
        maxStreamBacklog: Int? = nil, maxLingerBytes: Int = 4_194_304,
        errorResponse: @escaping ErrorResponse = Response.plainTextError
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
        self.errorResponse = errorResponse
    }
}
