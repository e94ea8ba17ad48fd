package import HTTPTypes

/// Writes responses as HTTP/1.1 bytes.
package enum ResponseSerializer {
    /// The response's statement about the connection. RFC 9112 §9.3, §9.6.
    package enum Connection: Sendable, Equatable {
        /// The connection persists, the default of HTTP/1.1.
        case persists
        /// The connection persists because an HTTP/1.0 client asked for it; the response confirms it.
        case persistsForHTTP10
        /// This is the last response on the connection.
        case closes
    }

    /// `HTTP/1.1 100 Continue`, RFC 9110 §15.2.1.
    package static let continueInterim: [UInt8] = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)

    private static let persistsLine: [UInt8] = Array("Connection: keep-alive\r\n".utf8)
    private static let requestIDStart: [UInt8] = Array("X-Request-Id: ".utf8)
    private static let closesLine: [UInt8] = Array("Connection: close\r\n".utf8)

    /// Appends the response to `buffer`.
    ///
    /// - Parameters:
    ///   - response: The response.
    ///   - isHead: Whether the request was a `HEAD`, whose response has no body (RFC 9110 §9.3.2).
    ///   - connection: Whether the connection persists.
    ///   - dateLine: The `Date` field, with its line end.
    ///   - requestID: Sent as `X-Request-Id` unless it is empty.
    ///   - buffer: The buffer to append to.
    /// - Returns: The size of the appended body in bytes.
    @discardableResult
    package static func append(
        _ response: Response, isHead: Bool, connection: Connection, dateLine: [UInt8], requestID: String = "",
        to buffer: inout [UInt8]
    ) -> Int {
        if let prefix = response.prefix {
            buffer.append(contentsOf: prefix)
        } else {
            appendPrefix(of: response, to: &buffer)
        }
        appendPerResponseFields(connection, dateLine, requestID, to: &buffer)
        guard !isHead, response.status.allowsBody else { return 0 }
        buffer.append(contentsOf: response.body)
        return response.body.count
    }

    /// Appends the fields that differ between responses, and the empty line.
    static func appendPerResponseFields(
        _ connection: Connection, _ dateLine: [UInt8], _ requestID: String, to buffer: inout [UInt8]
    ) {
        buffer.append(contentsOf: dateLine)
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
                    // An id from outside must not end the line.
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

    /// Appends status line, fields and length, which are constant for a response.
    static func appendPrefix(of response: Response, to buffer: inout [UInt8]) {
        appendStatusAndFields(of: response, to: &buffer)
        guard response.status.allowsContentLength else { return }
        buffer.append(contentsOf: "Content-Length: ".utf8)
        buffer.appendDecimal(response.status.allowsBody ? response.body.count : 0)
        buffer.append(.cr)
        buffer.append(.lf)
    }

    /// Appends status line and fields without the length.
    static func appendStatusAndFields(of response: Response, to buffer: inout [UInt8]) {
        // RFC 9112 §4: the space after the code stays if the reason phrase is empty.
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
            // RFC 9110 §5.5 forbids control characters. Only a lenient HTTPField can contain one.
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
    /// Whether a response with this status has a body. RFC 9110 §6.4.1: 1xx, 204 and 304 have no content; §15.3.6
    /// forbids it for 205.
    package var allowsBody: Bool { code >= 200 && code != 204 && code != 205 && code != 304 }

    /// RFC 9110 §8.6: never in 1xx and 204. In 304 it would be the length of the 200, which is unknown here.
    var allowsContentLength: Bool { code >= 200 && code != 204 && code != 304 }
}

extension [UInt8] {
    /// Appends `value`, padded with zeros to `digits` digits.
    mutating func appendDecimal(_ value: Int, digits: Int = 1) {
        var divisor = 1
        var count = 1
        while value / divisor >= 10 || count < digits {
            divisor *= 10
            count += 1
        }
        while divisor > 0 {
            append(UInt8(ascii: "0") + UInt8(value / divisor % 10))
            divisor /= 10
        }
    }
}
