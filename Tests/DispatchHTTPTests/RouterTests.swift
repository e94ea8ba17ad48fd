import DispatchHTTP
import DispatchLoop
import HTTP1
import HTTPTypes
import Testing

@Suite("routes without a socket")
@LoopActor
struct RouterTests {
    static func respond(_ method: HTTPRequest.Method, _ target: String) async throws -> Response {
        try await TestServer.routes(Gate(), Broadcast()).respond(to: RequestHead(method, target)).response()
    }

    static func text(_ response: Response) -> String { String(decoding: response.body, as: UTF8.self) }

    @Test("a path matches with and without a query, and in the absolute-form", arguments: ["/", "/?x", "http://a/"])
    func found(_ target: String) async throws {
        let response = try await Self.respond(.get, target)
        #expect(response.status == .ok)
        #expect(Self.text(response) == "hello")
    }

    @Test("a later response is returned too")
    func later() async throws {
        #expect(Self.text(try await Self.respond(.get, "/later?x")) == "x")
    }

    @Test("HEAD is answered wherever GET has a handler")
    func head() async throws {
        #expect(try await Self.respond(.head, "/").status == .ok)
        #expect(try await Self.respond(.head, "/body").status == .methodNotAllowed)
    }

    @Test(
        "an unknown path gets 404, which echoes nothing",
        arguments: [
            "/x", "//", "/%2F", "/<script>", "/query/", "/Query", "/%71uery", "/q%75ery", "//query", "/./query",
            "/x/../query", "/query/.", "http://a//query",
        ])
    func notFound(_ target: String) async throws {
        let response = try await Self.respond(.get, target)
        #expect(response.status == .notFound)
        #expect(response.fields[.contentType] == "text/plain; charset=utf-8")
        #expect(response.fields[.cacheControl] == "no-store", "by default caches may keep a 404")
        #expect(Self.text(response) == "There is nothing at this path.\n")
    }

    @Test("a letter that Unicode equates with another one does not match")
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
        "another method gets 405 with Allow",
        arguments: [HTTPRequest.Method.post, .put, .delete, .patch, .trace])
    func notAllowed(_ method: HTTPRequest.Method) async throws {
        let response = try await Self.respond(method, "/")
        #expect(response.status == .methodNotAllowed)
        #expect(response.fields[.allow] == "GET, HEAD, OPTIONS")
        #expect(response.fields[.cacheControl] == "no-store")
        #expect(Self.text(response) == "This path answers GET, HEAD, OPTIONS.\n")
    }

    @Test(
        "an unknown method gets 501 on every path; a handler makes a method known",
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

    @Test("OPTIONS lists the methods of a path and of the server")
    func options() async throws {
        let path = try await Self.respond(.options, "/body")
        #expect(path.status == .noContent)
        #expect(path.fields[.allow] == "POST, OPTIONS")
        #expect(try await Self.respond(.options, "*").fields[.allow] == "GET, HEAD, OPTIONS, POST")
        #expect(try await Self.respond(.options, "/x").status == .notFound)
    }

    @Test("CONNECT gets 501 and closes the connection")
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

    @Test("the router makes its error responses with the given function")
    func errorResponse() async throws {
        var router = Router { status, message, fields in
            Response(status: status, text: "<\(message)>", contentType: "text/html", fields: fields)
        }
        router.get("/", always: Response(status: .ok))
        for (method, target, status) in [
            (HTTPRequest.Method.get, "/x", 404), (.post, "/", 405), (.connect, "a:80", 501),
        ] {
            let response = try await router.respond(to: RequestHead(method, target)).response()
            #expect(response.status.code == status)
            #expect(response.fields[.contentType] == "text/html")
        }
    }

    @Test("only essential paths are health checks, with any method and query")
    func isHealthCheck() throws {
        let router = TestServer.routes(Gate(), Broadcast())
        #expect(try router.isHealthCheck(RequestHead(.head, "/health?x=1")))
        #expect(try !router.isHealthCheck(RequestHead(.get, "/")))
        #expect(try !router.isHealthCheck(RequestHead(.get, "/health/")))
    }
}
