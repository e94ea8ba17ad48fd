public import HTTPTypes

/// A request without its body: a view of the bytes that came, nothing copied and no text built until it is asked for.
/// It keeps those bytes alive, so do not keep it longer than the request.
public struct RequestHead: Sendable {
    /// `HTTP/1.0`, or `HTTP/1.1` and everything after it that is still 1.x (RFC 9110 §2.5).
    public enum Version: Sendable, Equatable {
        /// HTTP/1.0
        case http10
        /// HTTP/1.1
        case http11
    }

    /// The bytes, of which this request is a part.
    let bytes: [UInt8]
    let parsedTarget: RequestTarget
    let fieldLines: Range<Int>

    /// The method. Methods nobody knows are let through: what is served decides.
    public let method: HTTPRequest.Method
    /// The version that the client speaks.
    public let version: Version
    /// Whether the client wants to use the connection again (RFC 9112 §9.3).
    public let keepAlive: Bool
    /// Whether it came with an `X-Request-Id`, of any value; known without looking through the fields.
    public let hasRequestID: Bool
    /// The id that the server has given the request, or has taken over from it; empty when it gives none.
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

    /// The request target as it was sent.
    public var target: String { bytes.span.text(parsedTarget.whole) }

    /// The percent-decoded path. An encoded slash stays `%2F`. `*` for a server-wide `OPTIONS`, empty for `CONNECT`. Routes
    /// and access rules compare ``rawPath`` instead.
    public var path: String { parsedTarget.decodedPath ?? bytes.span.text(parsedTarget.path) }

    /// The path as the client sent it, in visible ASCII; `/` if an absolute target has no path. A proxy's rule for
    /// `/metrics` does not match `/%6detrics`, and a comparison with this path does not either (RFC 3986 §6.2.2 makes
    /// normalization optional).
    public var rawPath: String {
        // An absolute target without a path: the parser has put `/` or `*` here.
        guard !parsedTarget.path.isEmpty else { return parsedTarget.decodedPath ?? "" }
        return bytes.span.text(parsedTarget.path)
    }

    /// Whether ``rawPath`` equals `path`, byte by byte. Allocates no string.
    public func hasPath(_ path: StaticString) -> Bool { bytes.span.isEqual(parsedTarget.path, path) }

    /// What follows the question mark as it was sent; `nil` when there is no question mark.
    public var query: String? { parsedTarget.query.map { bytes.span.text($0) } }

    /// Host and port that the request is for: those of the target when it has some, which then overrule `Host`
    /// (RFC 9112 §3.2.2), otherwise those of `Host`. `nil` in HTTP/1.0 without either.
    public var authority: String? {
        parsedTarget.authority.map { bytes.span.text($0) } ?? firstValue(of: "host")
    }

    /// The value of the first field called `name`, written in lower case, in any case of letters.
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

    /// All fields, in the order they came. Built anew with each call.
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
    /// A request that came from nowhere, to try routes without a socket.
    ///
    /// - Parameters:
    ///   - method: The method.
    ///   - target: The request target, for instance `/ping?x=1`.
    ///   - fields: The fields; `Host` is added when it is missing.
    /// - Throws: `HTTP1Error` when it could not have come over a connection either.
    public init(_ method: HTTPRequest.Method, _ target: String, fields: HTTPFields = [:]) throws(HTTP1Error) {
        var wire = Array("\(method.rawValue) \(target) HTTP/1.1\r\n".utf8)
        if !fields.contains(where: { $0.name.canonicalName == "host" }) { wire += Array("Host: localhost\r\n".utf8) }
        for field in fields { wire += Array("\(field.name.rawName): \(field.value)\r\n".utf8) }
        wire += [.cr, .lf]
        var parser = RequestParser(
            limits: ParserLimits(requestLine: wire.count, fieldBytes: wire.count, fieldCount: .max))
        parser.append(wire)
        guard case .request(let head) = try parser.next() else { throw .malformedRequestLine }
        // Nothing may hide in the target.
        guard head.target == target else { throw .malformedTarget }
        self = head
    }
}
