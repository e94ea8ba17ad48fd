public import HTTPTypes

/// Why the parser rejected a request. The connection is unusable afterwards, because the start of the next request is
/// unknown: respond with `status` and close (RFC 9112 §2.2, §6.3, §9.6).
public enum HTTP1Error: String, Error, Sendable, Equatable, CaseIterable {
    // MARK: Request line

    /// Not `method SP request-target SP HTTP-version`. RFC 9112 §3.
    case malformedRequestLine
    /// The method is empty or not a token. RFC 9110 §9.1, §5.6.2.
    case malformedMethod
    /// No method ends within the longest request line. RFC 9112 §3: 501 for a method longer than all known ones.
    case methodTooLong
    /// The target has none of the four forms, or one that its method does not allow. RFC 9112 §3.2.
    case malformedTarget
    /// An `https` target without TLS. RFC 9110 §7.4, §15.5.20.
    case misdirected
    /// A percent sign without two hexadecimal digits, or an encoded NUL. RFC 3986 §2.1.
    case malformedPercentEncoding
    /// The decoded path is not UTF-8. RFC 3986 §2.5.
    case pathNotUTF8
    /// `HTTP/` and not `HTTP/digit.digit`. RFC 9112 §2.3.
    case malformedVersion
    /// A major version other than 1. RFC 9110 §15.6.6.
    case unsupportedVersion
    /// The request line exceeds its limit. RFC 9112 §3, RFC 9110 §15.5.15.
    case requestLineTooLong
    /// Too many empty lines before a request line. RFC 9112 §2.2.
    case tooManyEmptyLines

    // MARK: Lines and fields

    /// A line that ends in LF alone. RFC 9112 §2.2 allows it, but two servers that treat it differently disagree on
    /// where a request ends.
    case bareLineFeed
    /// A CR without LF. RFC 9112 §2.2.
    case bareCarriageReturn
    /// A field line that starts with a blank: obsolete folding, or a blank before the first field. RFC 9112 §5.2, §2.2.
    case foldedField
    /// A field line without a colon. RFC 9112 §5.
    case malformedField
    /// A field name that is empty or not a token. RFC 9110 §5.1.
    case malformedFieldName
    /// A blank between the field name and the colon. RFC 9112 §5.1.
    case blankBeforeColon
    /// A control character in a field value. RFC 9110 §5.5.
    case controlCharacterInField
    /// The field lines exceed their limit. RFC 6585 §5.
    case fieldsTooLarge
    /// Too many field lines. RFC 6585 §5.
    case tooManyFields
    /// HTTP/1.1 without `Host`. RFC 9112 §3.2.
    case missingHost
    /// More than one `Host`. RFC 9112 §3.2.
    case duplicateHost
    /// A `Host` that is not a host with an optional port. RFC 9112 §3.2.
    case malformedHost
    /// An expectation other than `100-continue`. RFC 9110 §10.1.1.
    case unsupportedExpectation

    // MARK: Framing

    /// A `Content-Length` with anything but digits. RFC 9112 §6.3 (5).
    case malformedContentLength
    /// More than one `Content-Length`, even equal ones. RFC 9112 §6.3 (5).
    case duplicateContentLength
    /// `Content-Length` beside `Transfer-Encoding`. RFC 9112 §6.3 (3), §11.2.
    case contentLengthWithTransferEncoding
    /// A transfer coding other than `chunked`. RFC 9112 §6.1.
    case unsupportedTransferCoding
    /// An empty coding, `chunked` twice or with parameters, or `chunked` not last. RFC 9112 §6.1, §6.3 (4), §7.1.
    case malformedTransferEncoding
    /// `Transfer-Encoding` in HTTP/1.0. RFC 9112 §6.1.
    case transferEncodingInHTTP10
    /// A chunk size that is not hexadecimal digits, or too many of them. RFC 9112 §7.1.
    case malformedChunkSize
    /// A chunk line, or all extensions together, exceed their limit. RFC 9112 §7.1.1.
    case chunkLineTooLong
    /// The bytes after a chunk size are not an extension. RFC 9112 §7.1.1.
    case malformedChunkExtension
    /// A chunk's content does not end with a line end. RFC 9112 §7.1.
    case malformedChunkEnd
    /// The body exceeds its limit. RFC 9110 §15.5.14.
    case bodyTooLarge

    /// The status of the response.
    public var status: HTTPResponse.Status {
        switch self {
        case .requestLineTooLong: .uriTooLong
        case .fieldsTooLarge, .tooManyFields: .requestHeaderFieldsTooLarge
        case .bodyTooLarge: .contentTooLarge
        case .unsupportedExpectation: .expectationFailed
        case .unsupportedTransferCoding, .methodTooLong: .notImplemented
        case .misdirected: .misdirectedRequest
        case .unsupportedVersion: .httpVersionNotSupported
        default: .badRequest
        }
    }

    /// One sentence for the client. Contains nothing from the request.
    public var reason: String {
        switch self {
        case .malformedRequestLine: "The request line is not a method, a target and a version."
        case .malformedMethod: "The method is not a valid token."
        case .methodTooLong: "The method is too long."
        case .malformedTarget: "The request target is not valid."
        case .misdirected: "This server answers http only."
        case .malformedPercentEncoding: "The path holds an invalid percent-encoding."
        case .pathNotUTF8: "The path is not UTF-8."
        case .malformedVersion: "The HTTP version is not valid."
        case .unsupportedVersion: "This server speaks HTTP/1.1 and HTTP/1.0."
        case .requestLineTooLong: "The request line is too long."
        case .tooManyEmptyLines: "There are too many empty lines before the request."
        case .bareLineFeed: "A line ends in LF without CR."
        case .bareCarriageReturn: "A CR is not followed by LF."
        case .foldedField: "A header line starts with a blank."
        case .malformedField: "A header line has no colon."
        case .malformedFieldName: "A header name is not valid."
        case .blankBeforeColon: "A header name is followed by white space."
        case .controlCharacterInField: "A header value holds a control character."
        case .fieldsTooLarge: "The header is too large."
        case .tooManyFields: "The header has too many fields."
        case .missingHost: "The Host header is missing."
        case .duplicateHost: "There is more than one Host header."
        case .malformedHost: "The Host header is not valid."
        case .unsupportedExpectation: "The only expectation this server knows is 100-continue."
        case .malformedContentLength: "The Content-Length is not valid."
        case .duplicateContentLength: "There is more than one Content-Length."
        case .contentLengthWithTransferEncoding: "Content-Length and Transfer-Encoding must not both be present."
        case .unsupportedTransferCoding: "The only transfer coding this server knows is chunked."
        case .malformedTransferEncoding: "The Transfer-Encoding is not valid."
        case .transferEncodingInHTTP10: "HTTP/1.0 has no Transfer-Encoding."
        case .malformedChunkSize: "A chunk size is not valid."
        case .chunkLineTooLong: "A chunk header is too long."
        case .malformedChunkExtension: "A chunk extension is not valid."
        case .malformedChunkEnd: "A chunk does not end where its size says."
        case .bodyTooLarge: "The body is too large."
        }
    }
}
