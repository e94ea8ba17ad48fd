import HTTP1
import HTTP1Checks
import HTTPTypes
import Testing

@Suite("the parser's interface")
struct RequestParserTests {
    static func parser(_ wire: String) -> RequestParser {
        var parser = RequestParser()
        parser.append(Array(wire.utf8))
        return parser
    }

    /// A short name of a step.
    static func name(_ step: RequestParser.Step) -> String {
        switch step {
        case .needsMore: "needsMore"
        case .continueExpected: "continueExpected"
        case .request(let head): head.path
        }
    }

    static func steps(_ parser: inout RequestParser, _ count: Int) throws -> [String] {
        try (0..<count).map { _ in name(try parser.next()) }
    }

    @Test("progress is idle, head or body")
    func progress() throws {
        var parser = RequestParser()
        let pieces: [(String, RequestParser.Progress)] = [
            ("", .idle), ("P", .head), ("OST / HTTP/1.1\r\nHost: a\r\n", .head), ("Content-Length: 2\r\n\r\n", .body),
            ("a", .body), ("b", .idle), ("\r\n", .idle), ("GET", .head),
        ]
        for (piece, progress) in pieces {
            parser.append(Array(piece.utf8))
            while case .request = try parser.next() {}
            #expect(parser.progress == progress, "after \(piece.debugDescription)")
        }
    }

    @Test("the parser knows whether the current or rejected request is a HEAD")
    func isHeadMethod() throws {
        var parser = RequestParser()
        let pieces: [(String, Bool)] = [
            ("HEAD / HTTP/1.1\r", false), ("\nHost: a\r\n", true), ("Content-Length: 1\r\n\r\n", true), ("x", false),
            ("GET / HTTP/1.1\r\n", false), ("Host: a\r\n\r\n", false), ("HEAD / HTTP/1.1\r\n", true),
        ]
        for (piece, isHead) in pieces {
            parser.append(Array(piece.utf8))
            while case .request = try parser.next() {}
            #expect(parser.isHeadMethod == isHead, "after \(piece.debugDescription)")
        }
        parser.append(Array("nonsense\r\n".utf8))
        #expect(throws: HTTP1Error.malformedField) { try parser.next() }
        #expect(parser.isHeadMethod)
        #expect(throws: HTTP1Error.malformedField) { try parser.next() }
        #expect(parser.isHeadMethod)

        // An invalid request line after a complete HEAD.
        var second = Self.parser("HEAD / HTTP/1.1\r\nHost: a\r\n\r\nnonsense\r\n")
        #expect(try Self.steps(&second, 1) == ["/"])
        #expect(throws: HTTP1Error.malformedRequestLine) { try second.next() }
        #expect(!second.isHeadMethod)
    }

    @Test("continueExpected comes once for a client that waits for 100 Continue")
    func continueExpected() throws {
        var parser = Self.parser("POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        #expect(try Self.steps(&parser, 2) == ["continueExpected", "needsMore"])
        parser.append(Array("ab".utf8))
        #expect(try Self.steps(&parser, 2) == ["/x", "needsMore"])
    }

    @Test("a client can wait with a chunked body too")
    func continueChunked() throws {
        var parser = Self.parser(
            "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n")
        #expect(try Self.steps(&parser, 2) == ["continueExpected", "needsMore"])
        parser.append(Array("0\r\n\r\n".utf8))
        #expect(try Self.steps(&parser, 2) == ["/x", "needsMore"])
    }

    @Test("a client whose first chunk is on its way does not wait for 100 Continue", arguments: ["1\r\n", "1\r\nx"])
    func continueNotExpectedInChunks(_ body: String) throws {
        var parser = Self.parser(
            "POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n" + body)
        #expect(try Self.steps(&parser, 2) == ["needsMore", "needsMore"])
    }

    @Test("a client whose body is on its way does not wait for 100 Continue")
    func continueNotExpected() throws {
        var parser = Self.parser("POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\na")
        #expect(try Self.steps(&parser, 1) == ["needsMore"])
        parser.append(Array("b".utf8))
        #expect(try Self.steps(&parser, 1) == ["/x"])
    }

    @Test("append takes only as many bytes as there is room")
    func room() throws {
        var parser = RequestParser(limits: ParserLimits(requestLine: 100, fieldBytes: 100))
        let wire = Array(String(repeating: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", count: 100).utf8)
        let taken = parser.append(wire)
        #expect(taken == 1224)
        #expect(parser.room == 0)
        _ = try parser.next()
        #expect(parser.room == 27)
    }

    @Test("a delivered request does not change when more bytes arrive")
    func keptRequests() throws {
        var parser = Self.parser("GET /first?q HTTP/1.1\r\nHost: a\r\nX: y\r\n\r\n")
        guard case .request(let first) = try parser.next() else {
            Issue.record("no request")
            return
        }
        for number in 0..<10 {
            parser.append(Array("GET /\(number) HTTP/1.1\r\nHost: b\r\nX: z\r\n\r\n".utf8))
            #expect(try Self.steps(&parser, 1) == ["/\(number)"])
        }
        #expect(first.path == "/first")
        #expect(first.query == "q")
        #expect(first.target == "/first?q")
        #expect(first.firstValue(of: "x") == "y")
    }

    @Test("a failed parser drops bytes and stays failed")
    func failed() {
        var parser = Self.parser("nonsense\r\n")
        #expect(throws: HTTP1Error.malformedRequestLine) { try parser.next() }
        #expect(parser.append(Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)) == 27)
        #expect(throws: HTTP1Error.malformedRequestLine) { try parser.next() }
        #expect(parser.bufferedBytes == 0)
    }

    @Test("shrinking loses nothing")
    func shrink() throws {
        var parser = Self.parser("GET /" + String(repeating: "a", count: 3000) + " HTTP/1.1\r\nHost: a\r\n\r\nGET /b H")
        _ = try parser.next()
        parser.shrink()
        parser.append(Array("TTP/1.1\r\nHost: a\r\n\r\n".utf8))
        #expect(try Self.steps(&parser, 1) == ["/b"])
        parser.shrink()
        parser.append(Array("GET /c HTTP/1.1\r\nHost: a\r\n\r\n".utf8))
        #expect(try Self.steps(&parser, 1) == ["/c"])
    }

    @Test("the lookup of a field ignores case and returns the first of several")
    func firstValue() throws {
        let head = try RequestHead(.get, "/", fields: [.accept: "text/html", .userAgent: "x"])
        #expect(head.firstValue(of: "accept") == "text/html")
        #expect(head.firstValue(of: "user-agent") == "x")
        #expect(head.firstValue(of: "host") == "localhost")
        #expect(head.firstValue(of: "accep") == nil)
        #expect(head.fields[.accept] == "text/html")
    }

    @Test(
        "the target's host overrides the Host field",
        arguments: [
            ("GET http://target:81/x HTTP/1.1\r\nHost: field\r\n\r\n", "target:81"),
            ("OPTIONS http://target HTTP/1.1\r\nHost: field\r\n\r\n", "target"),
            ("POST http://target?x HTTP/1.1\r\nHost: field\r\nContent-Length: 1\r\n\r\nx", "target"),
            ("CONNECT target:443 HTTP/1.1\r\nHost: field\r\n\r\n", "target:443"),
            ("GET / HTTP/1.1\r\nHost: field:8080\r\n\r\n", "field:8080"),
            ("GET / HTTP/1.1\r\nHost:\r\n\r\n", ""), ("GET / HTTP/1.0\r\n\r\n", nil),
        ])
    func authority(_ wire: String, _ authority: String?) {
        // An earlier request in the buffer makes the ranges move.
        for pieces in [[wire], [Cut.trailing, wire], (Cut.trailing + wire).map(String.init)] {
            let outcome = Outcome(pieces.map { Array($0.utf8) })
            #expect(outcome.requests.last?.authority == authority)
        }
    }

    @Test("a request made for tests obeys the same rules")
    func madeByHand() throws {
        #expect(try RequestHead(.get, "/a%20b?c").path == "/a b")
        #expect(try RequestHead(.get, "/a%20b?c").rawPath == "/a%20b")
        #expect(try RequestHead(.get, "http://a?c").rawPath == "/")
        #expect(try RequestHead(.options, "*").rawPath == "*")
        #expect(throws: HTTP1Error.malformedTarget) { try RequestHead(.get, "a") }
        #expect(throws: HTTP1Error.malformedTarget) { try RequestHead(.get, "/ HTTP/1.1\r\nX: y") }
    }

    @Test("paths are compared raw, whole and case-sensitively")
    func hasPath() throws {
        #expect(try RequestHead(.get, "/ping?x=/status").hasPath("/ping"))
        #expect(try RequestHead(.get, "http://localhost/ping").hasPath("/ping"))
        for other in ["/Ping", "/ping/", "/pin", "/", "/x/ping", "/p%69ng", "//ping", "/./ping", "/x/../ping"] {
            #expect(try !RequestHead(.get, other).hasPath("/ping"))
        }
    }
}
