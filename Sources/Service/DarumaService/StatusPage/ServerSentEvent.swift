/// An event as `text/event-stream` carries it. WHATWG HTML §9.2.
struct ServerSentEvent: Sendable, Hashable {
    /// What listeners select by.
    var name: String
    /// The payload, UTF-8. Each line of it becomes a `data` field.
    var data: [UInt8]
    /// How long the client is to wait before it connects again, in milliseconds; `nil` leaves it as it is.
    var retry: Int?

    /// The event's bytes, with the empty line that ends it.
    var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(data.count + 48)
        if let retry { bytes += Array("retry: \(retry)\n".utf8) }
        bytes += Array("event: \(name)\n".utf8)
        // CR ends a line as well as LF does, and CR LF is one end.
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
