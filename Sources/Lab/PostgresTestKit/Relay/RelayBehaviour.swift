/// How a relay treats connections.
package struct RelayBehaviour: Sendable, Equatable {
    /// How it treats a new connection.
    package enum Door: Sendable, Equatable {
        /// It connects to the server.
        case open
        /// It does not listen.
        case refusing
        /// It accepts, and never sends.
        case silent
    }

    /// How it treats bytes, and the end of the stream, in one direction.
    package enum Flow: Sendable, Equatable {
        case forwarding
        /// Holds everything back until the flow changes, like a network that is down for a while.
        case stalled
        /// Discards everything.
        case swallowing
        /// Delivers every byte later by this time.
        case delayed(Duration)
        /// Delivers every byte later by a time from this range, drawn for each read; the order stays.
        case jittered(ClosedRange<Duration>)
        case throttled(bytesPerSecond: Int)
    }

    package var door = Door.open
    package var toServer = Flow.forwarding
    package var toClient = Flow.forwarding
    /// Resets the connection after this many bytes to the client, within an answer.
    package var resetAfter: Int?

    package init(
        door: Door = .open, toServer: Flow = .forwarding, toClient: Flow = .forwarding, resetAfter: Int? = nil
    ) {
        self.door = door
        self.toServer = toServer
        self.toClient = toClient
        self.resetAfter = resetAfter
    }

    package static let forwarding = RelayBehaviour()
    /// Nothing gets through, and no error is reported.
    package static let blackHole = RelayBehaviour(door: .silent, toServer: .stalled, toClient: .stalled)
    package static let refusing = RelayBehaviour(door: .refusing)
}
