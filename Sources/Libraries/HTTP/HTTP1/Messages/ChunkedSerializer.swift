/// Writes answers whose length is not known when their head is sent. RFC 9112 §7.1, §6.3.
public enum ChunkedSerializer {
    /// What follows a chunk's bytes.
    public static let chunkEnd: [UInt8] = [.cr, .lf]
    /// The last chunk, and no trailer fields.
    public static let lastChunk: [UInt8] = Array("0\r\n\r\n".utf8)

    private static let codingLine: [UInt8] = Array("Transfer-Encoding: chunked\r\n".utf8)

    /// Appends the head of a streaming answer.
    ///
    /// - Parameters:
    ///   - response: The answer; its body is left out.
    ///   - isChunked: Whether its pieces will be chunks. Without, as for HTTP/1.0, the end of the connection is the end
    ///     of the body (RFC 9112 §6.3 (8)).
    ///   - connection: What becomes of the connection.
    ///   - date: The present.
    ///   - requestID: Sent as `X-Request-Id` unless it is empty.
    ///   - buffer: Where it goes.
    public static func appendHead(
        of response: Response, isChunked: Bool, connection: ResponseSerializer.Connection, date: HTTPDate,
        requestID: String = "", to buffer: inout [UInt8]
    ) {
        ResponseSerializer.appendStatusAndFields(of: response, to: &buffer)
        // RFC 9112 §6.1: not in an answer that cannot have a body.
        if isChunked, response.status.allowsBody { buffer.append(contentsOf: codingLine) }
        ResponseSerializer.appendPerResponseFields(connection, date, requestID, to: &buffer)
    }

    /// Appends the line that starts a chunk of `count` bytes, which must not be 0: that would be the last one.
    public static func appendChunkLine(_ count: Int, to buffer: inout [UInt8]) {
        buffer.append(contentsOf: String(count, radix: 16).utf8)
        buffer.append(.cr)
        buffer.append(.lf)
    }
}
