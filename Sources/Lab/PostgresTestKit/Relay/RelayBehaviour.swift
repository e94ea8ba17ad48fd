/// How a relay treats connections.
public struct RelayBehaviour: Sendable, Equatable {
    /// How it treats a new connection.
    public enum Door: Sendable, Equatable {
        /// It connects to the server.
        case open
        /// It does not listen.
        case refusing
        /// It accepts, and never sends.
        case silent
    }

    /// How it treats bytes, and the end of the stream, in one direction.
    public enum Flow: Sendable, Equatable {
        /// Passes everything on at once.
        case forwarding
        /// Holds everything back until the flow changes, like a network that is down for a while.
        case stalled
        /// Discards everything.
        case swallowing
        /// Delivers every byte later by this time.
        case delayed(Duration)
        /// Delivers every byte later by a time from this range, drawn for each read; the order stays.
        case jittered(ClosedRange<Duration>)
        /// Delivers at most this much.
        case throttled(bytesPerSecond: Int)
    }

    /// How new connections are treated.
    public var door = Door.open
    /// How what clients send is treated.
    public var toServer = Flow.forwarding
    /// How what the server sends is treated.
    public var toClient = Flow.forwarding
    /// Resets the connection after this many bytes to the client, within an answer.
    public var resetAfter: Int?

    /// Creates a behaviour; what is left out passes everything on.
    public init(
        door: Door = .open, toServer: Flow = .forwarding, toClient: Flow = .forwarding, resetAfter: Int? = nil
    ) {
        self.door = door
        self.toServer = toServer
        self.toClient = toClient
        self.resetAfter = resetAfter
    }

    /// Passes everything on at once.
    public static let forwarding = RelayBehaviour()
    /// Nothing gets through, and no error is reported. What was sent meanwhile arrives when the relay forwards again, but
    /// connections that were made meanwhile stay silent.
    public static let blackHole = RelayBehaviour(door: .silent, toServer: .stalled, toClient: .stalled)
    /// New connections are refused; open ones go on.
    public static let refusing = RelayBehaviour(door: .refusing)
}
