import DispatchHTTP
import DispatchLoop
import Foundation
import HTTP1
import HTTP1Checks
import HTTPTypes
import Testing

@Suite("routes without a socket")
@LoopActor
struct RouterTests {
    static func respond(_ method: HTTPRequest.Method, _ target: String) async throws -> Response {
        try await TestServer.routes(Gate(), Broadcast()).respond(to: RequestHead(method, target)).response()
    }

    static func text(_ response: Response) -> String { String(decoding: response.body, as: UTF8.self) }

    @Test("a path is answered, with and without a query, however it is encoded", arguments: ["/", "/?x", "http://a/"])
    func found(_ target: String) async throws {
        let response = try await Self.respond(.get, target)
        #expect(response.status == .ok)
        #expect(Self.text(response) == "hello")
    }

    @Test("an answer that takes a while is answered too")
    func later() async throws {
        #expect(Self.text(try await Self.respond(.get, "/later?x")) == "x")
    }

    @Test("HEAD is answered wherever GET is")
    func head() async throws {
        #expect(try await Self.respond(.head, "/").status == .ok)
        #expect(try await Self.respond(.head, "/body").status == .methodNotAllowed)
    }

    @Test(
        "an unknown path is 404 and echoes nothing",
        arguments: [
            "/x", "//", "/%2F", "/<script>", "/query/", "/Query", "/%71uery", "/q%75ery", "//query", "/./query",
            "/x/../query", "/query/.", "http://a//query",
        ])
    func notFound(_ target: String) async throws {
        let response = try await Self.respond(.get, target)
        #expect(response.status == .notFound)
        #expect(response.fields[.contentType] == "application/json; charset=utf-8")
        #expect(response.fields[.cacheControl] == "no-store", "by default a 404 may be kept")
        #expect(
            Self.text(response)
                == "{\n  \"status\": false,\n  \"error\": {\n    \"message\": \"There is nothing at this path.\"\n  }\n}"
        )
    }

    @Test("a letter that Unicode takes for another one is another one")
    func lookalike() throws {
        var router = Router()
        router.get("/OK", always: Response(status: .ok, text: "fine", contentType: "text/plain"))
        router.setEssential("/OK")
        for (target, isFound) in [("/OK", true), ("/O%E2%84%AA", false), ("/%4FK", false)] {
            let request = try RequestHead(.get, target)
            guard case .now(let response) = router.respond(to: request) else {
                Issue.record("expected an answer at once")
                return
            }
            #expect(response.status == (isFound ? .ok : .notFound), "\(target)")
            #expect(router.isHealthCheck(request) == isFound, "\(target)")
        }
    }

    @Test(
        "another method is 405, with what is allowed",
        arguments: [HTTPRequest.Method.post, .put, .delete, .patch, .trace])
    func notAllowed(_ method: HTTPRequest.Method) async throws {
        let response = try await Self.respond(method, "/")
        #expect(response.status == .methodNotAllowed)
        #expect(response.fields[.allow] == "GET, HEAD, OPTIONS")
        #expect(response.fields[.cacheControl] == "no-store")
        #expect(Self.text(response).contains("\"message\": \"This path answers GET, HEAD, OPTIONS.\""))
    }

    @Test(
        "a method that nobody knows is 501, whatever the path; one that has a handler somewhere is known",
        arguments: ["BREW", "get", "GETS", "M-SEARCH"])
    func notImplemented(_ name: String) async throws {
        let method = try #require(HTTPRequest.Method(name))
        for target in ["/", "/x", "/body"] {
            let response = try await Self.respond(method, target)
            #expect(response.status == .notImplemented)
            #expect(response.fields[.cacheControl] == "no-store")
            #expect(!Self.text(response).contains(name))
            #expect(!response.closesConnection)
        }
        var router = Router()
        router.get("/", always: Response(status: .ok))
        router.on(method, "/x") { _ in .now(Response(status: .ok)) }
        #expect(try await router.respond(to: RequestHead(method, "/x")).response().status == .ok)
        #expect(try await router.respond(to: RequestHead(method, "/")).response().status == .methodNotAllowed)
        #expect(try await router.respond(to: RequestHead(method, "/y")).response().status == .notFound)
    }

    @Test("OPTIONS says what is allowed, for a path and for the server")
    func options() async throws {
        let path = try await Self.respond(.options, "/body")
        #expect(path.status == .noContent)
        #expect(path.fields[.allow] == "POST, OPTIONS")
        #expect(try await Self.respond(.options, "*").fields[.allow] == "GET, HEAD, OPTIONS, POST")
        #expect(try await Self.respond(.options, "/x").status == .notFound)
    }

    @Test("CONNECT is not implemented and ends the connection")
    func connect() async throws {
        let response = try await Self.respond(.connect, "a:80")
        #expect(response.status == .notImplemented)
        #expect(response.closesConnection)
    }

    @Test("a later handler replaces an earlier one")
    func replaces() async throws {
        var router = Router()
        router.get("/", always: Response(status: .ok))
        router.get("/", always: Response(status: .accepted))
        #expect(try await router.respond(to: RequestHead(.get, "/")).response().status == .accepted)
    }

    @Test(
        "text in JSON is escaped",
        arguments: [
            ("plain é", "plain é"), ("\"\\", "\\\"\\\\"), ("a\nb\rc\td", "a\\nb\\rc\\td"),
            ("\u{0}\u{1F}\u{7F}", "\\u0000\\u001f\\u007f"),
            ("\r\n", "\\r\\n"),
        ])
    func escapes(_ text: String, _ escaped: String) {
        #expect(ErrorBody.escaped(text) == escaped)
    }

    @Test("whatever the text, it is one JSON string, and read again it is the same")
    func escapesEverything() throws {
        let seed = UInt64.random(in: .min ... .max)
        var generator = SplitMix64(seed: seed)
        for _ in 0..<2000 {
            var text = ""
            for _ in 0..<Int.random(in: 0...20, using: &generator) {
                // Control characters and what JSON gives a meaning, more often than the rest.
                let range: ClosedRange<UInt32> = Bool.random(using: &generator) ? 0...0x7F : 0...0x10FFFF
                guard let scalar = Unicode.Scalar(UInt32.random(in: range, using: &generator)) else { continue }
                text.unicodeScalars.append(scalar)
            }
            let json = Data("[\"\(ErrorBody.escaped(text))\"]".utf8)
            let read = try #require(try JSONSerialization.jsonObject(with: json) as? [String], "seed \(seed)")
            #expect(read.count == 1, "seed \(seed)")
            #expect(read.first.map { Array($0.utf8) } == Array(text.utf8), "seed \(seed)")
        }
    }

    @Test("only what was set essential is, with any method and query")
    func isHealthCheck() throws {
        let router = TestServer.routes(Gate(), Broadcast())
        #expect(try router.isHealthCheck(RequestHead(.head, "/health?x=1")))
        #expect(try !router.isHealthCheck(RequestHead(.get, "/")))
        #expect(try !router.isHealthCheck(RequestHead(.get, "/health/")))
    }
}
