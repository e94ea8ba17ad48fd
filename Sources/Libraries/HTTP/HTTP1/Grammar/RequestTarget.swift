/// A request target, as ranges of the request's bytes. RFC 9112 §3.2.
struct RequestTarget: Sendable, Equatable {
    var whole: Range<Int>
    var path: Range<Int>
    /// Host and port of the absolute-form and the authority-form.
    var authority: Range<Int>?
    /// The query, without its question mark; `nil` if the target has none.
    var query: Range<Int>?
    /// The decoded path if it is percent-encoded. An encoded slash stays `%2F`, because it is not a separator (RFC 3986
    /// §2.2) and `/private%2F` must not evade a proxy's rule for `/private/`.
    var decodedPath: String?

    /// Parses the target in `range`.
    init(_ bytes: Span<UInt8>, _ range: Range<Int>, isConnect: Bool, isOptions: Bool) throws(HTTP1Error) {
        whole = range
        path = range.lowerBound..<range.lowerBound
        guard let first = range.first.map({ bytes[$0] }) else { throw .malformedRequestLine }

        if isConnect {
            // RFC 9112 §3.2.3: CONNECT allows only the authority-form, with a port.
            guard Authority.isValid(bytes, range, needsPort: true) else { throw .malformedTarget }
            authority = range
            return
        }
        if first == UInt8(ascii: "/") {
            try readPath(bytes, from: range.lowerBound)
            return
        }
        if first == UInt8(ascii: "*"), range.count == 1 {
            // RFC 9112 §3.2.4: the asterisk-form is for a server-wide OPTIONS only.
            guard isOptions else { throw .malformedTarget }
            path = range
            return
        }

        // RFC 9112 §3.2.2: a server must accept the absolute-form, although clients rarely send it.
        let (http, https): (StaticString, StaticString) = ("http://", "https://")
        // RFC 9110 §7.4: a server rejects https that did not come over TLS, which this one does not speak.
        if bytes.hasPrefix(range, ignoringCase: https) { throw .misdirected }
        guard bytes.hasPrefix(range, ignoringCase: http) else { throw .malformedTarget }
        let start = range.lowerBound + http.utf8CodeUnitCount
        var end = start
        while end < range.upperBound, bytes[end] != UInt8(ascii: "/"), bytes[end] != UInt8(ascii: "?") { end += 1 }
        // RFC 9110 §4.2.1: an empty host is invalid. §4.2.4: user information is an error; `Authority` rejects it.
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
        }
    }

    /// Adjusts the ranges when the bytes move.
    mutating func shift(by distance: Int) {
        whole = (whole.lowerBound + distance)..<(whole.upperBound + distance)
        path = (path.lowerBound + distance)..<(path.upperBound + distance)
        authority = authority.map { ($0.lowerBound + distance)..<($0.upperBound + distance) }
        query = query.map { ($0.lowerBound + distance)..<($0.upperBound + distance) }
    }

    /// Parses path and query, from `start` to the end of the target.
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
            // The query stays encoded. The handler deals with a bare `?` or a stray percent sign in it.
            while index < end {
                guard Self.isAllowed(bytes[index]) else { throw .malformedTarget }
                index += 1
            }
        }
        if isEncoded { decodedPath = try Self.decode(bytes, path) }
    }

    /// Visible ASCII without `#`, because a target has no fragment (RFC 9112 §3.2). Allows characters that a URI must
    /// encode but that cannot be misread, such as `|` and `{`, because browsers send them.
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
