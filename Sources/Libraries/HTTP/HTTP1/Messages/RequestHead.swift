public import HTTPTypes

/// A request without its body: a view of the received bytes, which copies nothing and builds text only on demand. It
/// keeps those bytes alive, so do not keep it longer than the request.
public struct RequestHead: Sendable {
    /// `HTTP/1.0`, or `HTTP/1.1` and every later 1.x (RFC 9110 §2.5).
    public enum Version: Sendable, Equatable {
        /// HTTP/1.0
        case http10
        /// HTTP/1.1
        case http11
    }

    /// The bytes that contain this request.
    let bytes: [UInt8]
    let parsedTarget: RequestTarget
    let fieldLines: Range<Int>

    /// The method. The parser accepts unknown ones; the responder decides.
    public let method: HTTPRequest.Method
    /// The client's version.
    public let version: Version
    /// Whether the client wants to reuse the connection (RFC 9112 §9.3).
    public let keepAlive: Bool
    /// Whether the request has an `X-Request-Id` of any value. Costs no search through the fields.
    public let hasRequestID: Bool
    /// The id that the server generated or accepted; empty if it gives none.
    public var id = ""

    init(_ builder: HeadBuilder, target: RequestTarget, bytes: [UInt8], fieldLines: Range<Int>) {
        self.bytes = bytes
        self.parsedTarget = target
        self.fieldLines = fieldLines
        self.method = builder.method
        self.version = builder.version
        self.keepAlive = builder.keepAlive
        self.hasRequestID = builder.hasRequestID
    }

    /// The request target as received.
    public var target: String { bytes.span.text(parsedTarget.whole) }

    /// The percent-decoded path. An encoded slash stays `%2F`. `*` for a server-wide `OPTIONS`, empty for `CONNECT`.
    /// Routes and access rules compare ``rawPath`` instead.
    public var path: String { parsedTarget.decodedPath ?? bytes.span.text(parsedTarget.path) }

    /// The path as the client sent it, in visible ASCII; `/` if an absolute target has no path. A proxy's rule for
    /// `/metrics` does not match `/%6detrics`, and a comparison with this path does not either (RFC 3986 §6.2.2 makes
    /// normalization optional).
    public var rawPath: String {
        // An absolute target without a path: the parser has stored `/` or `*`.
        guard !parsedTarget.path.isEmpty else { return parsedTarget.decodedPath ?? "" }
        return bytes.span.text(parsedTarget.path)
    }

    /// Whether ``rawPath`` equals `path` byte by byte. Allocates no string.
    public func hasPath(_ path: StaticString) -> Bool { bytes.span.isEqual(parsedTarget.path, path) }

    /// The query as received, without its question mark; `nil` if the target has none.
    public var query: String? { parsedTarget.query.map { bytes.span.text($0) } }

    /// Host and port of the target, which override `Host` (RFC 9112 §3.2.2), otherwise of `Host`. `nil` in HTTP/1.0
    /// without either.
    public var authority: String? {
        parsedTarget.authority.map { bytes.span.text($0) } ?? firstValue(of: "host")
    }

    /// The value of the first field with this name. `name` is in lower case; the field's case does not matter.
    public func firstValue(of name: StaticString) -> String? {
        let span = bytes.span
        var start = fieldLines.lowerBound
        while start < fieldLines.upperBound {
            let end = span.firstIndex(of: .lf, in: start..<fieldLines.upperBound)
            let colon = span.firstIndex(of: UInt8(ascii: ":"), in: start..<end)
            if span.isEqual(start..<colon, ignoringCase: name) {
                return span.text(span.trimmed((colon + 1)..<(end - 1)))
            }
            start = end + 1
        }
        return nil
    }

    /// All fields in order, built anew on each call.
    public var fields: HTTPFields {
        var fields = HTTPFields()
        let span = bytes.span
        var start = fieldLines.lowerBound
        while start < fieldLines.upperBound {
            let end = span.firstIndex(of: .lf, in: start..<fieldLines.upperBound)
            let colon = span.firstIndex(of: UInt8(ascii: ":"), in: start..<end)
            if let name = HTTPField.Name(span.text(start..<colon)) {
                fields.append(HTTPField(name: name, value: bytes[span.trimmed((colon + 1)..<(end - 1))]))
            }
            start = end + 1
        }
        return fields
    }
}

extension RequestHead {
    /// A request for tests of routes without a socket.
    ///
    /// - Parameters:
    ///   - method: The method.
    ///   - target: The request target, for instance `/ping?x=1`.
    ///   - fields: The fields; a missing `Host` is added.
    /// - Throws: `HTTP1Error` if the parser would reject the request.
    public init(_ method: HTTPRequest.Method, _ target: String, fields: HTTPFields = [:]) throws(HTTP1Error) {
        var wire = Array("\(method.rawValue) \(target) HTTP/1.1\r\n".utf8)
        if !fields.contains(where: { $0.name.canonicalName == "host" }) { wire += Array("Host: localhost\r\n".utf8) }
        for field in fields { wire += Array("\(field.name.rawName): \(field.value)\r\n".utf8) }
        wire += [.cr, .lf]
        var parser = RequestParser(
            limits: ParserLimits(requestLine: wire.count, fieldBytes: wire.count, fieldCount: .max))
        parser.append(wire)
        guard case .request(let head) = try parser.next() else { throw .malformedRequestLine }
        // The target must not contain further lines.
        guard head.target == target else { throw .malformedTarget }
        self = head
    }
}
