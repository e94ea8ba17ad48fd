/// What a relay does to those who talk through it.
package struct RelayBehaviour: Sendable, Equatable {
    /// What somebody meets who connects.
    package enum Door: Sendable, Equatable {
        /// Is connected through.
        case open
        /// Nobody listens.
        case refusing
        /// Is accepted, and never hears anything.
        case silent
    }

    /// What happens to bytes in one direction.
    package enum Flow: Sendable, Equatable {
        case forwarding
        /// Bytes, and the news that a side has closed, are held back until it is forwarding again: a
        /// network that is down for a while.
        case stalled
        /// Bytes and news are lost for good.
        case swallowing
        /// Every byte comes so much later.
        case delayed(Duration)
        /// Every byte comes later by a time within this range, drawn anew for each read; none overtakes another.
        case jittered(ClosedRange<Duration>)
        case throttled(bytesPerSecond: Int)
    }

    package var door = Door.open
    package var toServer = Flow.forwarding
    package var toClient = Flow.forwarding
    /// The connection is reset when so many bytes have gone to the client: an answer torn in the middle.
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
    /// Nothing comes through, and nobody says so.
    package static let blackHole = RelayBehaviour(door: .silent, toServer: .stalled, toClient: .stalled)
    package static let refusing = RelayBehaviour(door: .refusing)
}
