package import HTTPTypes

/// Writes answers as HTTP/1.1 bytes.
public enum ResponseSerializer {
    /// What the answer says about the connection. RFC 9112 §9.3, §9.6.
    public enum Connection: Sendable, Equatable {
        /// The connection stays, and the client knows it: HTTP/1.1.
        case persists
        /// The connection stays because an HTTP/1.0 client asked for it, who has to be told.
        case persistsForHTTP10
        /// This is the last answer on the connection.
        case closes
    }

    /// `HTTP/1.1 100 Continue`, RFC 9110 §15.2.1.
    public static let continueInterim: [UInt8] = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)

    private static let persistsLine: [UInt8] = Array("Connection: keep-alive\r\n".utf8)
    private static let requestIDStart: [UInt8] = Array("X-Request-Id: ".utf8)
    private static let closesLine: [UInt8] = Array("Connection: close\r\n".utf8)

    /// Appends the answer to `buffer`.
    ///
    /// - Parameters:
    ///   - response: The answer.
    ///   - isHead: Whether the request was a `HEAD`: everything but the body (RFC 9110 §9.3.2).
    ///   - connection: What becomes of the connection.
    ///   - date: The present.
    ///   - requestID: Sent as `X-Request-Id` unless it is empty.
    ///   - buffer: Where it goes.
    /// - Returns: How many bytes of body have been appended.
    @discardableResult
    public static func append(
        _ response: Response, isHead: Bool, connection: Connection, date: HTTPDate, requestID: String = "",
        to buffer: inout [UInt8]
    ) -> Int {
        if let prefix = response.prefix {
            buffer.append(contentsOf: prefix)
        } else {
            appendPrefix(of: response, to: &buffer)
        }
        appendPerResponseFields(connection, date, requestID, to: &buffer)
        guard !isHead, response.status.allowsBody else { return 0 }
        buffer.append(contentsOf: response.body)
        return response.body.count
    }

    /// The fields that change from one answer to the next, and the empty line.
    static func appendPerResponseFields(
        _ connection: Connection, _ date: HTTPDate, _ requestID: String, to buffer: inout [UInt8]
    ) {
        buffer.append(contentsOf: date.line)
        switch connection {
        case .persists: break
        case .persistsForHTTP10: buffer.append(contentsOf: persistsLine)
        case .closes: buffer.append(contentsOf: closesLine)
        }
        if !requestID.isEmpty {
            buffer.append(contentsOf: requestIDStart)
            var requestID = requestID
            requestID.withUTF8 { bytes in
                if bytes.allSatisfy(isVisible) {
                    buffer.append(contentsOf: bytes)
                } else {
                    // Whoever chose the id, it ends no line.
                    buffer.append(contentsOf: bytes.filter(isVisible))
                }
            }
            buffer.append(.cr)
            buffer.append(.lf)
        }
        buffer.append(.cr)
        buffer.append(.lf)
    }

    private static func isVisible(_ byte: UInt8) -> Bool { byte > 0x20 && byte < 0x7F }

    /// Status line, fields and length: what does not change from one request to the next.
    static func appendPrefix(of response: Response, to buffer: inout [UInt8]) {
        appendStatusAndFields(of: response, to: &buffer)
        guard response.status.allowsContentLength else { return }
        buffer.append(contentsOf: "Content-Length: ".utf8)
        buffer.appendDecimal(response.status.allowsBody ? response.body.count : 0)
        buffer.append(.cr)
        buffer.append(.lf)
    }

    /// Status line and fields without the length.
    static func appendStatusAndFields(of response: Response, to buffer: inout [UInt8]) {
        // RFC 9112 §4: the space after the code stays when there is no reason phrase.
        buffer.append(contentsOf: "HTTP/1.1 ".utf8)
        buffer.appendDecimal(response.status.code, digits: 3)
        buffer.append(.space)
        buffer.append(contentsOf: response.status.reasonPhrase.utf8)
        buffer.append(.cr)
        buffer.append(.lf)
        for field in response.fields where !isServers(field.name) {
            buffer.append(contentsOf: field.name.rawName.utf8)
            buffer.append(UInt8(ascii: ":"))
            buffer.append(.space)
            // RFC 9110 §5.5: no control character may be sent. An HTTPField has none, unless it was made leniently.
            field.withUnsafeBytesOfValue { value in
                for byte in value { buffer.append(byte.isFieldValue ? byte : .space) }
            }
            buffer.append(.cr)
            buffer.append(.lf)
        }
    }

    private static func isServers(_ name: HTTPField.Name) -> Bool {
        name == .contentLength || name == .connection || name == .transferEncoding || name == .date
    }
}

extension HTTPResponse.Status {
    /// Whether an answer with this status has a body. RFC 9110 §6.4.1: 1xx, 204 and 304 have no content, and §15.3.6
    /// forbids it for 205.
    package var allowsBody: Bool { code >= 200 && code != 204 && code != 205 && code != 304 }

    /// RFC 9110 §8.6: never in 1xx and 204. In 304 it would be the length of the 200, which nobody knows here.
    var allowsContentLength: Bool { code >= 200 && code != 204 && code != 304 }
}
