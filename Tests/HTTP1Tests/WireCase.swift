import HTTP1
import HTTPTypes
import Testing

/// How bytes are cut before they reach the parser.
enum Cut: CaseIterable, CustomTestStringConvertible {
    case whole
    case byteByByte
    /// In one piece with the bytes of a further request behind.
    case withTrailingBytes
    case byteByByteWithTrailingBytes

    var testDescription: String { "\(self)" }
    var hasTrailingBytes: Bool { self == .withTrailingBytes || self == .byteByByteWithTrailingBytes }

    /// A request that is none of the cases.
    static let trailing = "GET /trailing HTTP/1.1\r\nHost: trailing\r\n\r\n"

    func pieces(_ wire: String) -> [[UInt8]] {
        let bytes = Array((hasTrailingBytes ? wire + Self.trailing : wire).utf8)
        switch self {
        case .whole, .withTrailingBytes: return [bytes]
        case .byteByByte, .byteByByteWithTrailingBytes: return bytes.map { [$0] }
        }
    }
}

/// What came out of a parser.
struct Outcome: Equatable {
    struct Request: Equatable, CustomStringConvertible {
        var method: String
        var target: String
        var path: String
        var query: String?
        var isHTTP10: Bool
        var keepAlive: Bool
        var fields: [String]

        init(_ head: RequestHead) {
            method = head.method.rawValue
            target = head.target
            path = head.path
            query = head.query
            isHTTP10 = head.version == .http10
            keepAlive = head.keepAlive
            fields = head.fields.map { "\($0.name.rawName): \($0.value)" }
        }

        var description: String { "\(method) \(target) \(fields)" }
    }

    var requests: [Request] = []
    var error: HTTP1Error?

    /// Feeds the pieces as a server does: appends what there is room for, takes all there is, goes on.
    init(_ pieces: [[UInt8]], limits: ParserLimits = ParserLimits()) {
        var parser = RequestParser(limits: limits)
        do throws(HTTP1Error) {
            for piece in pieces {
                var rest = piece[...]
                while true {
                    let taken = parser.append(Array(rest))
                    rest = rest.dropFirst(taken)
                    try take(&parser)
                    if rest.isEmpty { break }
                    // Otherwise the server would wait for ever.
                    #expect(parser.room > 0)
                    if parser.room == 0 { return }
                }
            }
        } catch {
            self.error = error
            // A refusal is for good.
            #expect(throws: error) { try parser.next() }
        }
    }

    private mutating func take(_ parser: inout RequestParser) throws(HTTP1Error) {
        while true {
            switch try parser.next() {
            case .needsMore: return
            case .continueExpected: continue
            case .request(let head): requests.append(Request(head))
            }
        }
    }
}
