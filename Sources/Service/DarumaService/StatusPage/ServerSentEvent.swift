/// An event of a `text/event-stream` (WHATWG HTML §9.2).
struct ServerSentEvent: Sendable {
    var name: String
    /// The payload. JSON on one line has no line break, which would begin another field.
    var data: JSONValue
    /// How long the client waits before it reconnects, in milliseconds; `nil` keeps its value.
    var retry: Int?

    /// The event's bytes, including the empty line at its end.
    var bytes: [UInt8] {
        let retryField = retry.map { "retry: \($0)\n" } ?? ""
        return Array("\(retryField)event: \(name)\ndata: ".utf8) + data.bytes(isCompact: true) + Array("\n\n".utf8)
    }
}
