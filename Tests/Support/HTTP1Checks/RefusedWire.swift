package import HTTP1

/// An invalid request, with the section that it violates.
package struct RefusedWire: CustomStringConvertible, Sendable {
    package var section: String
    package var wire: String
    package var error: HTTP1Error
    package var status: Int

    package init(_ section: String, _ wire: String, _ error: HTTP1Error, _ status: Int = 400) {
        self.section = section
        self.wire = wire
        self.error = error
        self.status = status
    }

    package var description: String { "\(section) \(error): \(wire.prefix(60).debugDescription)" }

    package static func field(_ section: String, _ line: String, _ error: HTTP1Error, _ status: Int = 400)
        -> RefusedWire
    {
        RefusedWire(section, "GET / HTTP/1.1\r\nHost: a\r\n\(line)\r\n\r\n", error, status)
    }

    package static func host(_ section: String, _ host: String) -> RefusedWire {
        RefusedWire(section, "GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n", .malformedHost)
    }

    package static func chunked(_ section: String, _ body: String, _ error: HTTP1Error, _ status: Int = 400)
        -> RefusedWire
    {
        RefusedWire(section, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\(body)", error, status)
    }

    package static let requestLine: [RefusedWire] = [
        .init("9112 §3", "GET\r\n", .malformedRequestLine),
        .init("9112 §3", "GET /\r\n", .malformedRequestLine),
        .init("9112 §3", "GET  / HTTP/1.1\r\n", .malformedRequestLine),
        .init("9112 §3", "GET /  HTTP/1.1\r\n", .malformedVersion),
        .init("9112 §3", "GET / HTTP/1.1 \r\n", .malformedVersion),
        .init("9112 §3", "GET / x HTTP/1.1\r\n", .malformedVersion),
        .init("9112 §3", " GET / HTTP/1.1\r\n", .malformedMethod),
        .init("9112 §3", "\tGET / HTTP/1.1\r\n", .malformedMethod),
        .init("9112 §3", "GET\t/\tHTTP/1.1\r\n", .malformedMethod),
        .init("9110 §9.1", "G(T / HTTP/1.1\r\n", .malformedMethod),
        .init("9110 §9.1", "GÉT / HTTP/1.1\r\n", .malformedMethod),
        .init("9110 §9.1", ":GET / HTTP/1.1\r\n", .malformedMethod),
        .init("9110 §9.1", "\u{16}\u{03}\u{01}", .malformedMethod),
        .init("9110 §9.1", "\0", .malformedMethod),
        .init("9112 §2.3", "GET / HTTP/1\r\n", .malformedVersion),
        .init("9112 §2.3", "GET / http/1.1\r\n", .malformedVersion),
        .init("9112 §2.3", "GET / HTTP/1.10\r\n", .malformedVersion),
        .init("9112 §2.3", "GET / HTTP/11.1\r\n", .malformedVersion),
        .init("9112 §2.3", "GET / HTTP/a.1\r\n", .malformedVersion),
        .init("9112 §2.3", "GET / HTTP/1,1\r\n", .malformedVersion),
        .init("9112 §2.3", "GET / HTTPS/1.1\r\n", .malformedVersion),
        .init("9112 §2.3", "GET / \r\n", .malformedVersion),
        .init("9110 §15.6.6", "GET / HTTP/2.0\r\n", .unsupportedVersion, 505),
        .init("9110 §15.6.6", "GET / HTTP/0.9\r\n", .unsupportedVersion, 505),
        .init("9110 §15.6.6", "GET / HTTP/3.1\r\n", .unsupportedVersion, 505),
        .init("9113 §3.4", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .unsupportedVersion, 505),
        .init("9112 §2.2", "\r\n\r\n\r\n\r\n\r\n", .tooManyEmptyLines),
        .init("9112 §2.2", "\nGET / HTTP/1.1\r\n", .bareLineFeed),
        .init("9112 §2.2", "GET / HTTP/1.1\nHost: a\n\n", .bareLineFeed),
        .init("9112 §2.2", "\rGET / HTTP/1.1\r\n", .bareCarriageReturn),
        .init("9112 §2.2", "GET\r / HTTP/1.1\r\n", .bareCarriageReturn),
        .init("9112 §2.2", "GET /\r HTTP/1.1\r\n", .malformedTarget),
        .init("9112 §2.2", "GET / HTTP/1.1\r\r\n", .malformedVersion),
    ]

    package static let target: [RefusedWire] = [
        .init("9112 §3.2", "GET ping HTTP/1.1\r\n", .malformedTarget),
        .init("9112 §3.2", "GET ?x HTTP/1.1\r\n", .malformedTarget),
        .init("9112 §3.2", "GET /a#b HTTP/1.1\r\n", .malformedTarget),
        .init("9112 §3.2", "GET /?a#b HTTP/1.1\r\n", .malformedTarget),
        .init("9112 §3.2", "GET /é HTTP/1.1\r\n", .malformedTarget),
        .init("9112 §3.2", "GET /?é HTTP/1.1\r\n", .malformedTarget),
        .init("9112 §3.2", "GET /\u{7F} HTTP/1.1\r\n", .malformedTarget),
        .init("9112 §3.2", "GET /\0 HTTP/1.1\r\n", .malformedTarget),
        .init("9112 §3.2", "GET /\t HTTP/1.1\r\n", .malformedTarget),
        .init("9112 §3.2.4", "GET * HTTP/1.1\r\n", .malformedTarget),
        .init("9112 §3.2.4", "OPTIONS ** HTTP/1.1\r\n", .malformedTarget),
        .init("9112 §3.2.3", "GET a:80 HTTP/1.1\r\n", .malformedTarget),
        .init("9112 §3.2.3", "CONNECT / HTTP/1.1\r\n", .malformedTarget),
        .init("9112 §3.2.3", "CONNECT a HTTP/1.1\r\n", .malformedTarget),
        .init("9112 §3.2.3", "CONNECT a: HTTP/1.1\r\n", .malformedTarget),
        .init("9112 §3.2.3", "CONNECT :80 HTTP/1.1\r\n", .malformedTarget),
        .init("9110 §9.3.6", "CONNECT a:0 HTTP/1.1\r\n", .malformedTarget),
        .init("9110 §9.3.6", "CONNECT a:65536 HTTP/1.1\r\n", .malformedTarget),
        .init("9110 §9.3.6", "CONNECT a:-1 HTTP/1.1\r\n", .malformedTarget),
        .init("9110 §7.4", "GET https://example.com/x HTTP/1.1\r\n", .misdirected, 421),
        .init("9110 §7.4", "OPTIONS HTTPS://example.com HTTP/1.1\r\n", .misdirected, 421),
        .init("9110 §4.2.2", "GET https:///x HTTP/1.1\r\n", .misdirected, 421),
        .init("9112 §3.2.3", "CONNECT http://a:80/ HTTP/1.1\r\n", .malformedTarget),
        .init("9112 §3.2.2", "GET ftp://a/ HTTP/1.1\r\n", .malformedTarget),
        .init("9110 §4.2.1", "GET http:///x HTTP/1.1\r\n", .malformedTarget),
        .init("9110 §4.2.1", "GET http:// HTTP/1.1\r\n", .malformedTarget),
        .init("9110 §4.2.1", "GET http://:80/ HTTP/1.1\r\n", .malformedTarget),
        .init("9110 §4.2.4", "GET http://user@a/ HTTP/1.1\r\n", .malformedTarget),
        .init("9110 §4.2.4", "GET http://user:p@a/ HTTP/1.1\r\n", .malformedTarget),
        .init("3986 §3.2.2", "GET http://[::1/ HTTP/1.1\r\n", .malformedTarget),
        .init("3986 §3.2.2", "GET http://[]/ HTTP/1.1\r\n", .malformedTarget),
        .init("3986 §3.2.3", "GET http://a:b/ HTTP/1.1\r\n", .malformedTarget),
        .init("3986 §2.1", "GET /% HTTP/1.1\r\n", .malformedPercentEncoding),
        .init("3986 §2.1", "GET /%4 HTTP/1.1\r\n", .malformedPercentEncoding),
        .init("3986 §2.1", "GET /%4? HTTP/1.1\r\n", .malformedPercentEncoding),
        .init("3986 §2.1", "GET /%zz HTTP/1.1\r\n", .malformedPercentEncoding),
        .init("3986 §2.1", "GET /%4g HTTP/1.1\r\n", .malformedPercentEncoding),
        .init("3986 §7.3", "GET /a%00b HTTP/1.1\r\n", .malformedPercentEncoding),
        .init("3986 §2.5", "GET /%FF HTTP/1.1\r\n", .pathNotUTF8),
        .init("3986 §2.5", "GET /%C3 HTTP/1.1\r\n", .pathNotUTF8),
        .init("3986 §2.5", "GET /%C0%AF HTTP/1.1\r\n", .pathNotUTF8),
    ]

    package static let fields: [RefusedWire] = [
        .field("9112 §5", "X", .malformedField),
        .field("9112 §5", "X y", .malformedField),
        .field("9112 §5", "X ", .malformedField),
        .field("9110 §5.1", ": x", .malformedFieldName),
        .field("9110 §5.1", "X(y): x", .malformedFieldName),
        .field("9110 §5.1", "Xé: x", .malformedFieldName),
        .field("9110 §5.1", "X\0: x", .malformedFieldName),
        .field("9112 §5.1", "X : x", .blankBeforeColon),
        .field("9112 §5.1", "X\t: x", .blankBeforeColon),
        .field("9112 §5.1", "Content-Length : 5", .blankBeforeColon),
        .field("9112 §5.2", "X: x\r\n y", .foldedField),
        .field("9112 §5.2", "X: x\r\n\ty", .foldedField),
        .field("9112 §5.2", "X: x\r\n Content-Length: 5", .foldedField),
        .init("9112 §2.2", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", .foldedField),
        .field("9110 §5.5", "X: a\0b", .controlCharacterInField),
        .field("9110 §5.5", "X: a\u{0B}b", .controlCharacterInField),
        .field("9110 §5.5", "X: a\u{7F}b", .controlCharacterInField),
        .field("9110 §5.5", "X: \u{1B}[31m", .controlCharacterInField),
        .field("9112 §2.2", "X: a\rb", .bareCarriageReturn),
        .field("9112 §2.2", "X\r: a", .bareCarriageReturn),
        .field("9112 §2.2", "X: a\r", .bareCarriageReturn),
        .field("9112 §2.2", "X: a\nY: b", .bareLineFeed),
        .field("9112 §2.2", "X: a\n", .bareLineFeed),
        .init("9112 §2.2", "GET / HTTP/1.1\r\nHost: a\r\n\n", .bareLineFeed),
        .init("9112 §3.2", "GET / HTTP/1.1\r\n\r\n", .missingHost),
        .init("9112 §3.2", "GET / HTTP/1.2\r\n\r\n", .missingHost),
        .init("9112 §3.2", "GET http://a/ HTTP/1.1\r\n\r\n", .missingHost),
        .init("9112 §3.2", "GET / HTTP/1.1\r\nX-Host: a\r\n\r\n", .missingHost),
        .field("9112 §3.2", "Host: a", .duplicateHost),
        .field("9112 §3.2", "host: b", .duplicateHost),
        .init("9112 §3.2", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", .duplicateHost),
        .init("9112 §3.2", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", .malformedHost),
        .init("9112 §3.2", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", .malformedHost),
        .init("9112 §3.2", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", .malformedHost),
        .init("9112 §3.2", "GET / HTTP/1.1\r\nHost: a:x\r\n\r\n", .malformedHost),
        .init("9112 §3.2", "GET / HTTP/1.1\r\nHost: a:123456\r\n\r\n", .malformedHost),
        .init("9112 §3.2", "GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n", .malformedHost),
        .init("9112 §3.2", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", .malformedHost),
        .init("9112 §3.2", "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", .malformedHost),
        .init("9112 §3.2", "GET / HTTP/1.1\r\nHost: é\r\n\r\n", .malformedHost),
        .host("3986 §3.2.2", "a%4"), .host("3986 §3.2.2", "a%zz"), .host("3986 §3.2.2", "a%"),
        .host("3986 §3.2.2", "[1:2:3:4:5:6:7]"), .host("3986 §3.2.2", "[1:2:3:4:5:6:7:8:9]"),
        .host("3986 §3.2.2", "[1:2:3:4:5:6:7:8::]"), .host("3986 §3.2.2", "[1::2::3]"),
        .host("3986 §3.2.2", "[:1]"), .host("3986 §3.2.2", "[1:]"), .host("3986 §3.2.2", "[:::]"),
        .host("3986 §3.2.2", "[12345::]"), .host("3986 §3.2.2", "[g::]"), .host("3986 §3.2.2", "[abc]"),
        .host("3986 §3.2.2", "[::1.2.3]"), .host("3986 §3.2.2", "[::1.2.3.256]"), .host("3986 §3.2.2", "[::01.2.3.4]"),
        .host("3986 §3.2.2", "[1.2.3.4]"), .host("3986 §3.2.2", "[v.a]"), .host("3986 §3.2.2", "[v1.]"),
        .host("3986 §3.2.2", "[v1]"), .host("3986 §3.2.2", "[vg.a]"), .host("6874 §2", "[fe80::1%eth0]"),
        .host("6874 §2", "[fe80::1%25]"),
        .field("9110 §10.1.1", "Expect: 200-ok", .unsupportedExpectation, 417),
        .field("9110 §10.1.1", "Expect: 100-continue, x", .unsupportedExpectation, 417),
    ]

    package static let framing: [RefusedWire] = [
        .field("9110 §8.6", "Content-Length:", .malformedContentLength),
        .field("9110 §8.6", "Content-Length: +5", .malformedContentLength),
        .field("9110 §8.6", "Content-Length: -5", .malformedContentLength),
        .field("9110 §8.6", "Content-Length: 5x", .malformedContentLength),
        .field("9110 §8.6", "Content-Length: 0x5", .malformedContentLength),
        .field("9110 §8.6", "Content-Length: 5 5", .malformedContentLength),
        .field("9110 §8.6", "Content-Length: 5.0", .malformedContentLength),
        .field("9110 §8.6", "Content-Length: 5, 5", .malformedContentLength),
        .field("9110 §8.6", "Content-Length: 5, 6", .malformedContentLength),
        .field("9110 §8.6", "Content-Length: ٥", .malformedContentLength),
        .field("9110 §8.6", "Content-Length: 9223372036854775808", .malformedContentLength),
        .field("9110 §8.6", "Content-Length: 18446744073709551621", .malformedContentLength),
        .field("9110 §8.6", "Content-Length: 99999999999999999999999999", .malformedContentLength),
        .field("9112 §6.3 (5)", "Content-Length: 5\r\nContent-Length: 5", .duplicateContentLength),
        .field("9112 §6.3 (5)", "Content-Length: 5\r\ncontent-length: 6", .duplicateContentLength),
        .field("9112 §6.3 (5)", "Content-Length: 0\r\nContent-Length: 0", .duplicateContentLength),
        .field(
            "9112 §6.3 (3)", "Content-Length: 5\r\nTransfer-Encoding: chunked", .contentLengthWithTransferEncoding),
        .field(
            "9112 §6.3 (3)", "Transfer-Encoding: chunked\r\nContent-Length: 5", .contentLengthWithTransferEncoding),
        .field(
            "9112 §6.3 (3)", "Content-Length: 0\r\nTransfer-Encoding: chunked", .contentLengthWithTransferEncoding),
        .field("9112 §6.3 (4)", "Transfer-Encoding: gzip", .malformedTransferEncoding),
        .field("9112 §6.3 (4)", "Transfer-Encoding: identity", .malformedTransferEncoding),
        .field("9112 §6.3 (4)", "Transfer-Encoding: chunked, identity", .malformedTransferEncoding),
        .field("9112 §7.1", "Transfer-Encoding: chunked;q=1", .malformedTransferEncoding),
        .field("9112 §7.1", "Transfer-Encoding: gzip, chunked;x", .malformedTransferEncoding),
        .field("9112 §6.1", "Transfer-Encoding: chunked, gzip, chunked", .malformedTransferEncoding),
        .field("9112 §6.1", "Transfer-Encoding: gzip,, chunked", .malformedTransferEncoding),
        .field("9112 §6.1", "Transfer-Encoding: identity, chunked", .unsupportedTransferCoding, 501),
        .field("9112 §6.1", "Transfer-Encoding: gzip, chunked", .unsupportedTransferCoding, 501),
        .field("9112 §6.3 (4)", "Transfer-Encoding: xchunked", .malformedTransferEncoding),
        .field("9112 §6.3 (4)", "Transfer-Encoding: \"chunked\"", .malformedTransferEncoding),
        .field("9112 §6.1", "Transfer-Encoding: chunked, chunked", .malformedTransferEncoding),
        .field("9112 §6.1", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", .malformedTransferEncoding),
        .field("9112 §6.3 (4)", "Transfer-Encoding: chunked, gzip", .malformedTransferEncoding),
        .field("9112 §6.3 (4)", "Transfer-Encoding: chunked,", .malformedTransferEncoding),
        .field("9112 §6.1", "Transfer-Encoding:", .malformedTransferEncoding),
        .field("9112 §6.1", "Transfer-Encoding: , chunked", .malformedTransferEncoding),
        .field("9110 §5.5", "Transfer-Encoding: \u{0B}chunked", .controlCharacterInField),
        .init(
            "9112 §6.1", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", .transferEncodingInHTTP10),
        .field("9110 §15.5.14", "Content-Length: 1048577", .bodyTooLarge, 413),
        .field("9110 §15.5.14", "Content-Length: 9223372036854775807", .bodyTooLarge, 413),
        .field("9110 §15.5.14", "Expect: 100-continue\r\nContent-Length: 1048577", .bodyTooLarge, 413),
        .chunked("9112 §7.1", "\r\n", .malformedChunkSize),
        .chunked("9112 §7.1", "x\r\n", .malformedChunkSize),
        .chunked("9112 §7.1", "-1\r\n", .malformedChunkSize),
        .chunked("9112 §7.1", "+1\r\n", .malformedChunkSize),
        .chunked("9112 §7.1", " 1\r\n", .malformedChunkSize),
        .chunked("9112 §7.1", ";a\r\n", .malformedChunkSize),
        .chunked("9112 §7.1", "0x1\r\n", .malformedChunkExtension),
        .chunked("9112 §7.1", "1 \r\n", .malformedChunkExtension),
        .chunked("9112 §7.1", "1 2\r\n", .malformedChunkExtension),
        .chunked("9112 §7.1", "1000000000000000\r\n", .malformedChunkSize),
        .chunked("9112 §7.1", "FFFFFFFFFFFFFFFFF\r\n", .malformedChunkSize),
        .chunked("9112 §7.1", "0000000000000001\r\n", .malformedChunkSize),
        .chunked("9112 §7.1.1", "1;a\rb\r\nx", .malformedChunkExtension),
        .chunked("9112 §7.1.1", "1;\0\r\nx", .malformedChunkExtension),
        .chunked("9112 §7.1.1", "1;\r\nx", .malformedChunkExtension),
        .chunked("9112 §7.1.1", "1;a;\r\nx", .malformedChunkExtension),
        .chunked("9112 §7.1.1", "1;;a\r\nx", .malformedChunkExtension),
        .chunked("9112 §7.1.1", "1;a \r\nx", .malformedChunkExtension),
        .chunked("9112 §7.1.1", "1;a=\r\nx", .malformedChunkExtension),
        .chunked("9112 §7.1.1", "1;a==b\r\nx", .malformedChunkExtension),
        .chunked("9112 §7.1.1", "1;a=b=c\r\nx", .malformedChunkExtension),
        .chunked("9112 §7.1.1", "1;a=b c\r\nx", .malformedChunkExtension),
        .chunked("9112 §7.1.1", "1;a b\r\nx", .malformedChunkExtension),
        .chunked("9112 §7.1.1", "1;=b\r\nx", .malformedChunkExtension),
        .chunked("9112 §7.1.1", "1;[\r\nx", .malformedChunkExtension),
        .chunked("9112 §7.1.1", "1;\u{FF}\u{FE}\r\nx", .malformedChunkExtension),
        .chunked("9110 §5.6.4", "1;a=\"\r\nx", .malformedChunkExtension),
        .chunked("9110 §5.6.4", "1;a=\"b\r\nx", .malformedChunkExtension),
        .chunked("9110 §5.6.4", "1;a=\"b\\\"\r\nx", .malformedChunkExtension),
        .chunked("9110 §5.6.4", "1;a=\"b\\\r\nx", .malformedChunkExtension),
        .chunked("9110 §5.6.4", "1;a=\"b\"c\r\nx", .malformedChunkExtension),
        .chunked("9110 §5.6.4", "1;a=b\"c\"\r\nx", .malformedChunkExtension),
        .chunked("9110 §5.6.4", "1;\"a\"=b\r\nx", .malformedChunkExtension),
        .chunked("9110 §5.6.4", "1;a=\"b\rc\"\r\nx", .malformedChunkExtension),
        .chunked("9110 §5.6.4", "1;a=\"b\u{7F}\"\r\nx", .malformedChunkExtension),
        .chunked("9112 §7.1.1", "1;" + String(repeating: "a", count: 255) + "\r\n", .chunkLineTooLong),
        .chunked("9112 §7.1.1", String(repeating: "1", count: 300), .chunkLineTooLong),
        .chunked(
            "9112 §7.1.1", String(repeating: "1;" + String(repeating: "a", count: 200) + "\r\nx\r\n", count: 21),
            .chunkLineTooLong),
        .chunked("9112 §2.2", "1\nx", .bareLineFeed),
        .chunked("9112 §7.1", "1\r\nxy\r\n", .malformedChunkEnd),
        .chunked("9112 §7.1", "1\r\nx\n", .malformedChunkEnd),
        .chunked("9112 §7.1", "1\r\nx\rx", .malformedChunkEnd),
        .chunked("9112 §7.1", "1\r\nx0\r\n\r\n", .malformedChunkEnd),
        .chunked("9110 §15.5.14", "100001\r\n", .bodyTooLarge, 413),
        .chunked("9110 §15.5.14", "FFFFFFFFFFFFFFF\r\n", .bodyTooLarge, 413),
        .chunked("9112 §7.1.2", "0\r\nX\r\n\r\n", .malformedField),
        .chunked("9112 §7.1.2", "0\r\n X: y\r\n\r\n", .foldedField),
        .chunked("9112 §7.1.2", "0\r\nX : y\r\n\r\n", .blankBeforeColon),
        .chunked("9112 §7.1.2", "0\r\nX: \0\r\n\r\n", .controlCharacterInField),
        .chunked("9112 §7.1.2", "0\r\nX: y\n\r\n", .bareLineFeed),
        .chunked("6585 §5", "0\r\n" + String(repeating: "X: y\r\n", count: 101) + "\r\n", .tooManyFields, 431),
        .chunked("6585 §5", "0\r\nX: " + String(repeating: "y", count: 16_384) + "\r\n\r\n", .fieldsTooLarge, 431),
    ]

    package static let limits: [RefusedWire] = [
        .init(
            "9112 §3", "GET /" + String(repeating: "a", count: 8192 - 13) + " HTTP/1.1\r\nHost: a\r\n\r\n",
            .requestLineTooLong, 414),
        .init("9112 §3", String(repeating: "A", count: 8194), .methodTooLong, 501),
        .init("9112 §3", String(repeating: "A", count: 8193) + " / HTTP/1.1\r\n", .requestLineTooLong, 414),
        .init("9112 §3", String(repeating: "A", count: 8194) + " / HTTP/1.1\r\n", .methodTooLong, 501),
        .init(
            "6585 §5", "GET / HTTP/1.1\r\n" + String(repeating: "X: y\r\n", count: 101) + "\r\n", .tooManyFields, 431),
        .field("6585 §5", "X: " + String(repeating: "y", count: 16_384), .fieldsTooLarge, 431),
        .field(
            "6585 §5", (0..<20).map { "X\($0): " + String(repeating: "y", count: 1000) }.joined(separator: "\r\n"),
            .fieldsTooLarge, 431),
    ]

    package static let all = requestLine + target + fields + framing + limits
}
