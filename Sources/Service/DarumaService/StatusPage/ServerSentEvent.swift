/// An event of a `text/event-stream` (WHATWG HTML §9.2).
struct ServerSentEvent: Sendable, Hashable {
    var name: String
    /// The payload, UTF-8. Each line of it becomes a `data` field.
    var data: [UInt8]
    /// How long the client waits before it reconnects, in milliseconds; `nil` keeps its value.
    var retry: Int?

    /// The event's bytes, including the empty line at its end.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(data.count + 48)
        if let retry { bytes += Array("retry: \(retry)\n".utf8) }
        bytes += Array("event: \(name)\n".utf8)
        // CR, LF and CR LF each end a line.
        var isNewLine = true
        var previous: UInt8 = 0
        for byte in data {
            if byte == UInt8(ascii: "\n"), previous == UInt8(ascii: "\r") {
                previous = byte
                continue
            }
            if isNewLine { bytes += Array("data: ".utf8) }
            isNewLine = byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r")
            bytes.append(isNewLine ? UInt8(ascii: "\n") : byte)
            previous = byte
        }
        if isNewLine { bytes += Array("data: ".utf8) }
        bytes += Array("\n\n".utf8)
        return bytes
    }
}
