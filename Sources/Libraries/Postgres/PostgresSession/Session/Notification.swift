/// What `NOTIFY` sent (PostgreSQL manual, NOTIFY).
public struct Notification: Sendable, Hashable {
    /// The channel it was sent on.
    public let channel: String
    /// Its text; empty when it has none.
    public let payload: String
    /// The process id of the session that sent it.
    public let processID: Int32

    /// A notification with the given parts.
    public init(channel: String, payload: String, processID: Int32) {
        self.channel = channel
        self.payload = payload
        self.processID = processID
    }
}
