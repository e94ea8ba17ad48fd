/// Writes responses of unknown length. RFC 9112 §7.1, §6.3.
package enum ChunkedSerializer {
    /// The bytes after each chunk.
    package static let chunkEnd: [UInt8] = [.cr, .lf]
    /// The last chunk, without trailer fields.
    package static let lastChunk: [UInt8] = Array("0\r\n\r\n".utf8)

    private static let codingLine: [UInt8] = Array("Transfer-Encoding: chunked\r\n".utf8)

    /// Appends the head of a streaming response.
    ///
    /// - Parameters:
    ///   - response: The response, whose body is ignored.
    ///   - isChunked: Whether the body is chunked. Otherwise the close of the connection ends it (RFC 9112 §6.3 (8)).
    ///   - connection: Whether the connection persists.
    ///   - dateLine: The `Date` field, with its line end.
    ///   - requestID: Sent as `X-Request-Id` unless it is empty.
    ///   - buffer: The buffer to append to.
    package static func appendHead(
        of response: Response, isChunked: Bool, connection: ResponseSerializer.Connection, dateLine: [UInt8],
        requestID: String = "", to buffer: inout [UInt8]
    ) {
        ResponseSerializer.appendStatusAndFields(of: response, to: &buffer)
        // RFC 9112 §6.1: not in a response without a body.
        if isChunked, response.status.allowsBody { buffer.append(contentsOf: codingLine) }
        ResponseSerializer.appendPerResponseFields(connection, dateLine, requestID, to: &buffer)
    }

    /// Appends the line before a chunk of `count` bytes. `count` must not be 0, which marks the last chunk.
    package static func appendChunkLine(_ count: Int, to buffer: inout [UInt8]) {
        buffer.append(contentsOf: String(count, radix: 16).utf8)
        buffer.append(.cr)
        buffer.append(.lf)
    }
}
