/// What a request is for, as places in the request's bytes. RFC 9112 §3.2.
struct RequestTarget: Sendable, Equatable {
    /// The four forms of a request target.
    enum Form: Sendable, Equatable {
        /// `/path?query`
        case origin
        /// `http://host/path?query`, as sent to proxies
        case absolute
        /// `host:port`, `CONNECT` only
        case authority
        /// `*`, `OPTIONS` only
        case asterisk
    }

    var form: Form
    var whole: Range<Int>
    var path: Range<Int>
    /// Host and port, in the absolute-form and the authority-form.
    var authority: Range<Int>?
    /// Without the question mark; `nil` when there is none.
    var query: Range<Int>?
    /// The path with its percent-encoding removed, when it has one. An encoded slash stays `%2F`: it is no separator
    /// (RFC 3986 §2.2), and a proxy's rule for `/private/` must not be passed by `/private%2F`.
    var decodedPath: String?

    /// Reads the target that stands in `range`.
    init(_ bytes: Span<UInt8>, _ range: Range<Int>, isConnect: Bool, isOptions: Bool) throws(HTTP1Error) {
        whole = range
        path = range.lowerBound..<range.lowerBound
        guard let first = range.first.map({ bytes[$0] }) else { throw .malformedRequestLine }

        if isConnect {
            // RFC 9112 §3.2.3: CONNECT has the authority-form and nothing else; the port is not optional.
            form = .authority
            guard Authority.isValid(bytes, range, needsPort: true) else { throw .malformedTarget }
            authority = range
            return
        }
        if first == UInt8(ascii: "/") {
            form = .origin
            try readPath(bytes, from: range.lowerBound)
            return
        }
        if first == UInt8(ascii: "*"), range.count == 1 {
            // RFC 9112 §3.2.4: the asterisk-form is for a server-wide OPTIONS only.
            guard isOptions else { throw .malformedTarget }
            form = .asterisk
            path = range
            return
        }

        // RFC 9112 §3.2.2: a server has to accept the absolute-form, also where clients rarely send it.
        let (http, https): (StaticString, StaticString) = ("http://", "https://")
        // RFC 9110 §7.4: https is rejected unless it came over TLS, which this server does not speak.
        if bytes.hasPrefix(range, ignoringCase: https) { throw .misdirected }
        guard bytes.hasPrefix(range, ignoringCase: http) else { throw .malformedTarget }
        form = .absolute
        let start = range.lowerBound + http.utf8CodeUnitCount
        var end = start
        while end < range.upperBound, bytes[end] != UInt8(ascii: "/"), bytes[end] != UInt8(ascii: "?") { end += 1 }
        // RFC 9110 §4.2.1: an empty host is invalid; §4.2.4: user information is an error, and no authority has it.
        let authority = start..<end
        guard !authority.isEmpty, bytes[authority.lowerBound] != UInt8(ascii: ":"),
            Authority.isValid(bytes, authority, needsPort: false)
        else { throw .malformedTarget }
        self.authority = authority

        if end < range.upperBound, bytes[end] == UInt8(ascii: "/") {
            try readPath(bytes, from: end)
        } else {
            // RFC 9112 §3.2.1 and §3.2.4: an empty path is `/`, and `*` for OPTIONS without a query.
            let isEmpty = end == range.upperBound
            try readPath(bytes, from: end)
            decodedPath = isOptions && isEmpty ? "*" : "/"
            if isOptions && isEmpty { form = .asterisk }
        }
    }

    /// Follows the bytes when they move.
    mutating func shift(by distance: Int) {
        whole = (whole.lowerBound + distance)..<(whole.upperBound + distance)
        path = (path.lowerBound + distance)..<(path.upperBound + distance)
        authority = authority.map { ($0.lowerBound + distance)..<($0.upperBound + distance) }
        query = query.map { ($0.lowerBound + distance)..<($0.upperBound + distance) }
    }

    /// Reads path and query, which start at `start` and end with the target.
    private mutating func readPath(_ bytes: Span<UInt8>, from start: Int) throws(HTTP1Error) {
        let end = whole.upperBound
        var index = start
        var isEncoded = false
        while index < end {
            let byte = bytes[index]
            if byte == UInt8(ascii: "?") { break }
            guard Self.isAllowed(byte) else { throw .malformedTarget }
            if byte == UInt8(ascii: "%") { isEncoded = true }
            index += 1
        }
        path = start..<index
        if index < end {
            query = (index + 1)..<end
            // The query stays as it was sent; a bare `?` or a stray percent sign in it is the handler's business.
            while index < end {
                guard Self.isAllowed(bytes[index]) else { throw .malformedTarget }
                index += 1
            }
        }
        if isEncoded { decodedPath = try Self.decode(bytes, path) }
    }

    /// Visible ASCII, without `#`: a fragment is never sent (RFC 9112 §3.2). Characters that a URI must encode but that
    /// cannot be misread, like `|` and `{`, are let through, because browsers send them.
    private static func isAllowed(_ byte: UInt8) -> Bool {
        byte > 0x20 && byte < 0x7F && byte != UInt8(ascii: "#")
    }

    private static func decode(_ bytes: Span<UInt8>, _ range: Range<Int>) throws(HTTP1Error) -> String {
        var decoded: [UInt8] = []
        decoded.reserveCapacity(range.count)
        var index = range.lowerBound
        while index < range.upperBound {
            let byte = bytes[index]
            index += 1
            guard byte == UInt8(ascii: "%") else {
                decoded.append(byte)
                continue
            }
            guard index + 1 < range.upperBound, let high = bytes[index].hexValue,
                let low = bytes[index + 1].hexValue, high | low != 0
            else { throw .malformedPercentEncoding }
            index += 2
            if high << 4 | low == UInt8(ascii: "/") {
                decoded += [UInt8(ascii: "%"), UInt8(ascii: "2"), UInt8(ascii: "F")]
            } else {
                decoded.append(high << 4 | low)
            }
        }
        guard let text = String(validating: decoded, as: UTF8.self) else { throw .pathNotUTF8 }
        return text
    }
}
