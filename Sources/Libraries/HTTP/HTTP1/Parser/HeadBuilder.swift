import HTTPTypes

/// A request's head, built line by line. Detects every field that a second one could silently override.
struct HeadBuilder: Sendable {
    enum Length: Sendable, Equatable {
        case none
        case fixed(Int)
        case chunked
    }

    private(set) var method = HTTPRequest.Method.get
    private(set) var version = RequestHead.Version.http11
    private(set) var target: RequestTarget?
    private(set) var length = Length.none
    private(set) var expectsContinue = false
    private(set) var fieldCount = 0
    /// Whether the head has an `X-Request-Id` of any value.
    private(set) var hasRequestID = false
    private var hasHost = false
    private var hasClose = false
    private var hasKeepAlive = false

    /// RFC 9112 §9.3.
    var keepAlive: Bool { !hasClose && (version == .http11 || hasKeepAlive) }

    /// Adjusts the ranges when the bytes move.
    mutating func shift(by distance: Int) { target?.shift(by: distance) }

    /// Parses `method SP request-target SP HTTP-version`. RFC 9112 §3.
    mutating func readRequestLine(_ bytes: Span<UInt8>, _ line: Range<Int>) throws(HTTP1Error) {
        var end = line.lowerBound
        while end < line.upperBound, bytes[end].isToken { end += 1 }
        let methodRange = line.lowerBound..<end
        // RFC 9110 §9.1: the method is a token, and one SP follows it.
        guard end < line.upperBound else { throw .malformedRequestLine }
        guard !methodRange.isEmpty, bytes[end] == .space else {
            throw bytes[end] == .cr ? .bareCarriageReturn : .malformedMethod
        }

        let targetStart = end + 1
        let targetEnd = bytes.firstIndex(of: .space, in: targetStart..<line.upperBound)
        guard targetEnd < line.upperBound, targetEnd > targetStart else { throw .malformedRequestLine }

        // The version comes first, because another version may have another target grammar.
        version = try Self.readVersion(bytes, (targetEnd + 1)..<line.upperBound)
        method = Self.readMethod(bytes, methodRange)
        target = try RequestTarget(
            bytes, targetStart..<targetEnd, isConnect: method == .connect, isOptions: method == .options)
    }

    private static func readMethod(_ bytes: Span<UInt8>, _ range: Range<Int>) -> HTTPRequest.Method {
        // RFC 9110 §9.1: methods are case-sensitive.
        switch range.count {
        case 3 where bytes.isEqual(range, "GET"): .get
        case 3 where bytes.isEqual(range, "PUT"): .put
        case 4 where bytes.isEqual(range, "HEAD"): .head
        case 4 where bytes.isEqual(range, "POST"): .post
        // The bytes are a token, so the fallback never applies.
        default: HTTPRequest.Method(bytes.text(range)) ?? .get
        }
    }

    /// RFC 9112 §2.3: `HTTP/` DIGIT `.` DIGIT, case-sensitive.
    private static func readVersion(
        _ bytes: Span<UInt8>, _ range: Range<Int>
    ) throws(HTTP1Error) -> RequestHead.Version {
        let start = range.lowerBound
        guard range.count == 8, bytes.isEqual(start..<(start + 5), "HTTP/"), bytes[start + 5].isDigit,
            bytes[start + 6] == UInt8(ascii: "."), bytes[start + 7].isDigit
        else { throw .malformedVersion }
        // RFC 9110 §15.6.6: the server does not support another major version; §2.5: it treats a higher minor one as
        // 1.1.
        guard bytes[start + 5] == UInt8(ascii: "1") else { throw .unsupportedVersion }
        return bytes[start + 7] == UInt8(ascii: "0") ? .http10 : .http11
    }

    /// Parses one field line. RFC 9112 §5.
    mutating func readField(_ bytes: Span<UInt8>, _ line: Range<Int>, limit: Int) throws(HTTP1Error) {
        fieldCount += 1
        guard fieldCount <= limit else { throw .tooManyFields }
        let (name, value) = try FieldLine.split(bytes, line)
        switch name.count {
        case 4 where bytes.isEqual(name, ignoringCase: "host"): try readHost(bytes, value)
        case 6 where bytes.isEqual(name, ignoringCase: "expect"): try readExpect(bytes, value)
        case 10 where bytes.isEqual(name, ignoringCase: "connection"): readConnection(bytes, value)
        case 12 where bytes.isEqual(name, ignoringCase: "x-request-id"): hasRequestID = true
        case 14 where bytes.isEqual(name, ignoringCase: "content-length"): try readContentLength(bytes, value)
        case 17 where bytes.isEqual(name, ignoringCase: "transfer-encoding"): try readTransferEncoding(bytes, value)
        default: break
        }
    }

    /// Checks the rules that concern the whole head.
    mutating func finish() throws(HTTP1Error) {
        // RFC 9112 §3.2: a server rejects a request without Host, except in HTTP/1.0.
        guard hasHost || version == .http10 else { throw .missingHost }
        // RFC 9112 §6.1: HTTP/1.0 has no transfer codings; the framing of such a message is faulty.
        if length == .chunked, version == .http10 { throw .transferEncodingInHTTP10 }
        // RFC 9110 §10.1.1: a server ignores an expectation in HTTP/1.0 or without a body.
        if version == .http10 || length == .none || length == .fixed(0) { expectsContinue = false }
    }

    private mutating func readHost(_ bytes: Span<UInt8>, _ value: Range<Int>) throws(HTTP1Error) {
        // RFC 9112 §3.2: exactly one, and a valid one. An empty one is valid (RFC 9110 §7.2).
        guard !hasHost else { throw .duplicateHost }
        hasHost = true
        guard Authority.isValid(bytes, value, needsPort: false) else { throw .malformedHost }
    }

    private mutating func readExpect(_ bytes: Span<UInt8>, _ value: Range<Int>) throws(HTTP1Error) {
        // RFC 9110 §10.1.1: a server may respond with 417 to an expectation that it cannot meet.
        var start = value.lowerBound
        while let element = bytes.nextElement(from: &start, in: value) {
            guard bytes.isEqual(element, ignoringCase: "100-continue") else { throw .unsupportedExpectation }
            expectsContinue = true
        }
    }

    /// RFC 9110 §7.6.1: a case-insensitive list of options. Ignores unknown ones.
    private mutating func readConnection(_ bytes: Span<UInt8>, _ value: Range<Int>) {
        var start = value.lowerBound
        while let option = bytes.nextElement(from: &start, in: value) {
            switch option.count {
            case 5 where bytes.isEqual(option, ignoringCase: "close"): hasClose = true
            case 10 where bytes.isEqual(option, ignoringCase: "keep-alive"): hasKeepAlive = true
            default: break
            }
        }
    }

    private mutating func readContentLength(_ bytes: Span<UInt8>, _ value: Range<Int>) throws(HTTP1Error) {
        switch length {
        // RFC 9112 §6.3 (5) allows equal ones, but only a broken or malicious client sends two.
        case .fixed: throw .duplicateContentLength
        // RFC 9112 §6.3 (3).
        case .chunked: throw .contentLengthWithTransferEncoding
        case .none: break
        }
        // RFC 9110 §8.6: 1*DIGIT. No sign, no list, no blank, no overflow.
        guard !value.isEmpty else { throw .malformedContentLength }
        var sum = 0
        for index in value {
            guard bytes[index].isDigit else { throw .malformedContentLength }
            let (product, overflow) = sum.multipliedReportingOverflow(by: 10)
            let (next, carry) = product.addingReportingOverflow(Int(bytes[index] - UInt8(ascii: "0")))
            guard !overflow, !carry else { throw .malformedContentLength }
            sum = next
        }
        length = .fixed(sum)
    }

    private mutating func readTransferEncoding(_ bytes: Span<UInt8>, _ value: Range<Int>) throws(HTTP1Error) {
        switch length {
        // RFC 9112 §6.3 (3).
        case .fixed: throw .contentLengthWithTransferEncoding
        // RFC 9112 §6.1: chunked is applied at most once, so a second field is always wrong.
        case .chunked: throw .malformedTransferEncoding
        case .none: break
        }
        if bytes.isEqual(value, ignoringCase: "chunked") {
            length = .chunked
            return
        }
        // RFC 9112 §6.3 (4): without chunked as the last coding the end of the body is unknown. §6.1, §7.1: it is
        // applied once and has no parameters. Attackers have used empty elements, which other lists allow (RFC 9110
        // §5.6.1.2), to make two servers disagree.
        var start = value.lowerBound
        var isLastChunked = false
        while start <= value.upperBound {
            let end = bytes.firstIndex(of: UInt8(ascii: ","), in: start..<value.upperBound)
            let coding = bytes.trimmed(start..<end)
            guard !coding.isEmpty, !isLastChunked else { throw .malformedTransferEncoding }
            isLastChunked = bytes.isEqual(coding, ignoringCase: "chunked")
            start = end + 1
        }
        // RFC 9112 §6.1: an unknown coding in a message whose end is known.
        throw isLastChunked ? .unsupportedTransferCoding : .malformedTransferEncoding
    }
}

/// `field-name ":" OWS field-value OWS`, RFC 9112 §5.
enum FieldLine {
    /// The ranges of the line's name and value.
    static func split(
        _ bytes: Span<UInt8>, _ line: Range<Int>
    ) throws(HTTP1Error) -> (name: Range<Int>, value: Range<Int>) {
        var colon = line.lowerBound
        while colon < line.upperBound, bytes[colon].isToken { colon += 1 }
        guard colon < line.upperBound, bytes[colon] == UInt8(ascii: ":"), colon > line.lowerBound else {
            throw refusal(bytes, line, at: colon)
        }
        // RFC 9110 §5.5: no control characters. A CR here has no LF (RFC 9112 §2.2).
        var index = colon + 1
        while index < line.upperBound {
            guard bytes[index].isFieldValue else {
                throw bytes[index] == .cr ? .bareCarriageReturn : .controlCharacterInField
            }
            index += 1
        }
        return (line.lowerBound..<colon, bytes.trimmed((colon + 1)..<line.upperBound))
    }

    /// The error of a line whose name ends at `end` without a colon there.
    private static func refusal(_ bytes: Span<UInt8>, _ line: Range<Int>, at end: Int) -> HTTP1Error {
        guard end < line.upperBound else { return .malformedField }
        switch bytes[end] {
        // RFC 9112 §5.2: obsolete folding.
        case .space where end == line.lowerBound, .tab where end == line.lowerBound: return .foldedField
        case .space, .tab:
            // RFC 9112 §5.1: attackers have used a blank before the colon to smuggle requests.
            let next = bytes.trimmed(end..<line.upperBound).lowerBound
            let isColon = next < line.upperBound && bytes[next] == UInt8(ascii: ":")
            return isColon ? .blankBeforeColon : .malformedField
        case .cr: return .bareCarriageReturn
        default: return .malformedFieldName
        }
    }
}
