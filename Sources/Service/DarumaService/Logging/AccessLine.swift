import DispatchLoop

/// One request as a line of the access log. Written as bytes, because every request has a line.
struct AccessLine {
    /// `-` if the request could not be parsed.
    var method: String
    /// The path as sent, without the query, which may hold secrets. `-` if the request could not be parsed.
    var path: String
    var client: String
    var status: Int
    var bytes: Int
    /// `nil` if the request could not be parsed.
    var duration: Duration?
    /// Empty if the request has no id.
    var id: String

    /// Appends the line without a newline.
    func write(_ format: LineLogHandler.Format, time: some Sequence<UInt8>, to buffer: inout [UInt8]) {
        switch format {
        case .json: writeJSON(time, &buffer)
        case .text: writeText(time, &buffer)
        }
    }

    private func writeJSON(_ time: some Sequence<UInt8>, _ buffer: inout [UInt8]) {
        buffer.append(contentsOf: #"{"time":""#.utf8)
        buffer.append(contentsOf: time)
        buffer.append(contentsOf: #"","level":"info","logger":"access","message":"request","client":""#.utf8)
        buffer.append(contentsOf: client.utf8)
        buffer.append(contentsOf: #"","method":""#.utf8)
        JSONText.append(method, to: &buffer)
        buffer.append(contentsOf: #"","path":""#.utf8)
        JSONText.append(path, to: &buffer)
        buffer.append(contentsOf: #"","status":"#.utf8)
        Self.write(status, to: &buffer)
        buffer.append(contentsOf: #","bytes":"#.utf8)
        Self.write(bytes, to: &buffer)
        if let duration {
            buffer.append(contentsOf: #","duration-ms":"#.utf8)
            Self.writeMilliseconds(duration, to: &buffer)
        }
        if !id.isEmpty {
            buffer.append(contentsOf: #","request-id":""#.utf8)
            JSONText.append(id, to: &buffer)
            buffer.append(UInt8(ascii: "\""))
        }
        buffer.append(UInt8(ascii: "}"))
    }

    private func writeText(_ time: some Sequence<UInt8>, _ buffer: inout [UInt8]) {
        buffer.append(contentsOf: time)
        buffer.append(contentsOf: " info request client=".utf8)
        buffer.append(contentsOf: client.utf8)
        buffer.append(contentsOf: " method=".utf8)
        buffer.append(contentsOf: LineLogHandler.quoted(method).utf8)
        buffer.append(contentsOf: " path=".utf8)
        buffer.append(contentsOf: LineLogHandler.quoted(path).utf8)
        buffer.append(contentsOf: " status=".utf8)
        Self.write(status, to: &buffer)
        buffer.append(contentsOf: " bytes=".utf8)
        Self.write(bytes, to: &buffer)
        if let duration {
            buffer.append(contentsOf: " duration-ms=".utf8)
            Self.writeMilliseconds(duration, to: &buffer)
        }
        if !id.isEmpty {
            buffer.append(contentsOf: " request-id=".utf8)
            buffer.append(contentsOf: LineLogHandler.quoted(id).utf8)
        }
    }

    private static func write(_ number: Int, to buffer: inout [UInt8]) {
        // Up to 15 digits are a small string, which does not allocate.
        buffer.append(contentsOf: String(number).utf8)
    }

    /// Writes three decimals.
    private static func writeMilliseconds(_ duration: Duration, to buffer: inout [UInt8]) {
        let microseconds = max(duration.nanoseconds / 1_000, 0)
        write(Int(microseconds / 1_000), to: &buffer)
        let fraction = microseconds % 1_000
        buffer.append(UInt8(ascii: "."))
        for digit in [fraction / 100, fraction / 10 % 10, fraction % 10] {
            buffer.append(UInt8(ascii: "0") + UInt8(digit))
        }
    }
}
