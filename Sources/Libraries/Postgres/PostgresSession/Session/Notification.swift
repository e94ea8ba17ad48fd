/// A notification sent by `NOTIFY` (PostgreSQL manual, NOTIFY).
public struct Notification: Sendable, Hashable {
    /// The channel.
    public let channel: String
    /// The text; empty when there is none.
    public let payload: String
    /// The process id of the sending session.
    public let processID: Int32

    /// Creates a notification.
    public init(channel: String, payload: String, processID: Int32) {
        self.channel = channel
        self.payload = payload
        self.processID = processID
    }
}
