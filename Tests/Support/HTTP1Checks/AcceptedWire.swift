/// A valid request and its meaning.
package struct AcceptedWire: CustomStringConvertible, Sendable {
    package var about: String
    package var wire: String
    package var method = "GET"
    package var path = "/"
    package var query: String?
    package var keepAlive = true
    package var fields: [String]?

    package init(
        _ about: String, _ wire: String, method: String = "GET", path: String = "/", query: String? = nil,
        keepAlive: Bool = true, fields: [String]? = nil
    ) {
        self.about = about
        self.wire = wire
        self.method = method
        self.path = path
        self.query = query
        self.keepAlive = keepAlive
        self.fields = fields
    }

    package var description: String { about }

    package static func line(
        _ about: String, _ target: String, method: String = "GET", path: String, query: String? = nil
    ) -> AcceptedWire {
        AcceptedWire(about, "\(method) \(target) HTTP/1.1\r\nHost: a\r\n\r\n", method: method, path: path, query: query)
    }

    package static func field(_ about: String, _ lines: String, keepAlive: Bool = true) -> AcceptedWire {
        AcceptedWire(about, "GET / HTTP/1.1\r\nHost: a\r\n\(lines)\r\n\r\n", keepAlive: keepAlive)
    }

    package static func host(_ host: String) -> AcceptedWire {
        AcceptedWire("the Host \(host)", "GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n", fields: ["Host: \(host)"])
    }

    package static func chunked(_ about: String, _ body: String) -> AcceptedWire {
        AcceptedWire(
            about, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\(body)", method: "POST")
    }

    package static let all: [AcceptedWire] = [
        .line("origin-form", "/", path: "/"),
        .line("a longer path", "/a/b/c.d-e_f~g", path: "/a/b/c.d-e_f~g"),
        .line("dot segments stay", "/a/../b", path: "/a/../b"),
        .line("a double slash stays", "//a", path: "//a"),
        .line("a query", "/p?a=1&b=2", path: "/p", query: "a=1&b=2"),
        .line("a bare question mark", "/p?", path: "/p", query: ""),
        .line("question marks in the query", "/p?a?b", path: "/p", query: "a?b"),
        .line("a stray percent sign in the query", "/p?100%", path: "/p", query: "100%"),
        .line("characters that browsers do not encode", "/a|b?{c}^`\"<>\\", path: "/a|b", query: "{c}^`\"<>\\"),
        .line("percent-encoding", "/%70ing", path: "/ping"),
        .line("percent-encoded UTF-8", "/caf%C3%A9", path: "/café"),
        .line("percent-encoding in small letters", "/caf%c3%a9", path: "/café"),
        .line("a percent-encoded percent sign", "/%25", path: "/%"),
        .line("an encoded slash is no slash", "/a%2fb%2F", path: "/a%2Fb%2F"),
        .line("an encoded question mark is no query", "/a%3Fb?c", path: "/a?b", query: "c"),
        .line("absolute-form", "http://example.com/x?y", path: "/x", query: "y"),
        .line("absolute-form with port", "http://example.com:8080/x", path: "/x"),
        .line("absolute-form with an IPv6 host", "http://[::1]:8080/x", path: "/x"),
        .line("absolute-form in capitals", "HTTP://EXAMPLE.COM/x", path: "/x"),
        .line("absolute-form without a path", "http://example.com", path: "/"),
        .line("absolute-form with a query only", "http://example.com?x", path: "/", query: "x"),
        .line("asterisk-form", "*", method: "OPTIONS", path: "*"),
        .line("absolute-form of the asterisk", "http://example.com", method: "OPTIONS", path: "*"),
        .line("absolute-form of OPTIONS with a path", "http://example.com/x", method: "OPTIONS", path: "/x"),
        .line("authority-form", "example.com:443", method: "CONNECT", path: ""),
        .line("authority-form with an IPv6 host", "[::1]:443", method: "CONNECT", path: ""),
        .line("HEAD", "/", method: "HEAD", path: "/"),
        .line("PUT", "/", method: "PUT", path: "/"),
        .line("an unknown method", "/", method: "M-SEARCH!", path: "/"),
        .line("methods are case-sensitive", "/", method: "get", path: "/"),
        .init("an empty line before the request", "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("four empty lines before the request", "\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
        .init("a higher minor version", "GET / HTTP/1.9\r\nHost: a\r\n\r\n"),
        .init("HTTP/1.0 without Host closes", "GET / HTTP/1.0\r\n\r\n", keepAlive: false),
        .init("HTTP/1.0 with keep-alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"),
        .init(
            "HTTP/1.0 with keep-alive and close", "GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
            keepAlive: false),
        .field("close", "Connection: close", keepAlive: false),
        .field("close in capitals", "CONNECTION: CLOSE", keepAlive: false),
        .field("close in a list", "Connection: x ,\tclose , y", keepAlive: false),
        .field("close in a second field", "Connection: keep-alive\r\nConnection: close", keepAlive: false),
        .field("options that contain close", "Connection: closed, not-close"),
        .field("an empty Connection", "Connection:"),
        .field("commas only", "Connection: ,,"),
        .field("an upgrade that is ignored", "Connection: Upgrade\r\nUpgrade: websocket"),
        .field("an expectation without a body", "Expect: 100-continue"),
        .field("an expectation among empty elements", "Expect: , 100-Continue ,"),
        .field("no expectation", "Expect:"),
        .init(
            "an expectation in HTTP/1.0", "GET / HTTP/1.0\r\nExpect: 100-Continue\r\nContent-Length: 1\r\n\r\nx",
            keepAlive: false),
        .init(
            "values are trimmed", "GET / HTTP/1.1\r\nHost:a\r\nX: \t b c \t\r\nY:\r\n\r\n",
            fields: ["Host: a", "X: b c", "Y: "]),
        .init(
            "the same field twice", "GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\n\r\n",
            fields: ["Host: a", "X: 1", "x: 2"]),
        .init("obs-text", "GET / HTTP/1.1\r\nHost: a\r\nX: é\r\n\r\n", fields: ["Host: a", "X: é"]),
        .init("an empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        .init("a Host with port", "GET / HTTP/1.1\r\nHost: a.b-c:8080\r\n\r\n"),
        .init("a Host with an empty port", "GET / HTTP/1.1\r\nHost: a:\r\n\r\n"),
        .init("an IPv6 Host", "GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]:8080\r\n\r\n"),
        .host("1.2.3.4:80"), .host("xn--caf-dma.example"), .host("a%20b"), .host("[::]"), .host("[1:2:3:4:5:6:7:8]"),
        .host("[1::8]"), .host("[::1.2.3.4]"), .host("[1:2:3:4:5:6:1.2.3.4]"), .host("[1:2:3:4:5:6:7::]"),
        .host("[V1a.b:c]:80"),
        .init("no body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", method: "POST"),
        .init("a body", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde", method: "POST"),
        .init(
            "zeros before the length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 005\r\n\r\nabcde",
            method: "POST"),
        .init("a body with GET", "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"),
        .init(
            "a body that looks like a request",
            "POST /x HTTP/1.1\r\nHost: a\r\nX: y\r\nContent-Length: 29\r\n\r\nGET /in HTTP/1.1\r\nHost: a\r\n\r\n",
            method: "POST", path: "/x", fields: ["Host: a", "X: y", "Content-Length: 29"]),
        .chunked("an empty chunked body", "0\r\n\r\n"),
        .chunked("chunks", "3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n"),
        .chunked("zeros before the size", "0003\r\nabc\r\n000\r\n\r\n"),
        .chunked("chunk sizes in both cases", "a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n"),
        .chunked("extensions", "3;a=b;c=\"d e\"\r\nabc\r\n0;x\r\n\r\n"),
        .chunked("a blank before an extension", "3 ;a\r\nabc\r\n0\r\n\r\n"),
        .chunked("blanks wherever the grammar allows them", "3\t; a = b ;c =\t\"d\"\r\nabc\r\n0\r\n\r\n"),
        .chunked(
            "quoted strings with all allowed bytes",
            "3;a=\"\";b=\"\\\"\\\\\";c=\"=;\t \u{E4}\"\r\nabc\r\n0;d=\";\"\r\n\r\n"),
        .chunked("trailers", "0\r\nX: y\r\nContent-Length: 7\r\n\r\n"),
        .chunked("content that looks like an end", "5\r\n0\r\n\r\n\r\n0\r\n\r\n"),
        .init(
            "CHUNKED", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n0\r\n\r\n", method: "POST"),
        .init(
            "the longest request line",
            "GET /" + String(repeating: "a", count: 8192 - 14) + " HTTP/1.1\r\nHost: a\r\n\r\n",
            path: "/" + String(repeating: "a", count: 8192 - 14)),
        .field("the most fields", (1...99).map { "X\($0): y" }.joined(separator: "\r\n")),
        .field("the largest header", "X: " + String(repeating: "y", count: 16_384 - 9 - 5)),
        .init(
            "the largest body",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n" + String(repeating: "b", count: 1_048_576),
            method: "POST"),
    ]
}
