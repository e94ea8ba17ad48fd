internal import DispatchLoop
public import HTTP1
public import HTTPTypes

/// Exact paths to handlers. `HEAD` is answered wherever `GET` is, `OPTIONS` everywhere; other paths get 404, other
/// methods 405 with `Allow` (RFC 9110 §15.5.6), methods that nobody here has heard of 501 (§9.1).
public struct Router: Responder {
    /// Answers the requests of one path and method.
    public typealias Handler = @LoopActor (RequestHead) -> Answer

    private struct Route: Sendable {
        var handlers: [(method: HTTPRequest.Method, handler: Handler)] = []
        /// What `OPTIONS` and 405 say, prepared.
        var options = Response(status: .noContent)
        var notAllowed = Response(status: .methodNotAllowed)

        func handler(for method: HTTPRequest.Method) -> Handler? {
            for entry in handlers where entry.method == method { return entry.handler }
            return nil
        }

        mutating func update() {
            var methods: [String] = []
            for (method, _) in handlers {
                methods.append(method.rawValue)
                if method == .get { methods.append("HEAD") }
            }
            if !methods.contains("OPTIONS") { methods.append("OPTIONS") }
            let allow = methods.joined(separator: ", ")
            options = Response(status: .noContent, fields: [.allow: allow]).prepared()
            notAllowed = ErrorBody.response(
                .methodNotAllowed, "This path answers \(allow).", fields: [.allow: allow]
            ).prepared()
        }
    }

    private var routes: [String: Route] = [:]
    private var essentialPaths: Set<String> = []
    private var serverOptions = Response(status: .noContent, fields: [.allow: "OPTIONS"])
    /// The methods of RFC 9110 §9.3 and RFC 5789, and all that have a handler somewhere.
    private var recognized: Set<HTTPRequest.Method> = [
        .get, .head, .post, .put, .delete, .connect, .options, .trace, .patch,
    ]
    private let notImplemented = ErrorBody.response(.notImplemented, "This server does not know this method.")
        .prepared()
    private let notFound = ErrorBody.response(.notFound, "There is nothing at this path.").prepared()
    private var connectRefusal: Response

    /// A router without routes.
    public init() {
        connectRefusal = ErrorBody.response(.notImplemented, "This server is no proxy.")
        connectRefusal.closesConnection = true
    }

    /// Answers `method` at `path` with what `handler` says. A later handler for the same replaces the earlier one.
    public mutating func on(_ method: HTTPRequest.Method, _ path: String, _ handler: @escaping Handler) {
        recognized.insert(method)
        var route = routes[path] ?? Route()
        route.handlers.removeAll { $0.method == method }
        route.handlers.append((method, handler))
        route.update()
        routes[path] = route

        var methods: [String] = []
        for route in routes.values {
            for (method, _) in route.handlers where !methods.contains(method.rawValue) {
                methods.append(method.rawValue)
            }
        }
        if methods.contains("GET"), !methods.contains("HEAD") { methods.append("HEAD") }
        if !methods.contains("OPTIONS") { methods.append("OPTIONS") }
        serverOptions = Response(status: .noContent, fields: [.allow: methods.sorted().joined(separator: ", ")])
    }

    /// The paths that something is served at.
    public var paths: [String] { routes.keys.sorted() }

    /// Answers `GET` and `HEAD` at `path` with what `handler` says.
    public mutating func get(_ path: String, _ handler: @escaping Handler) {
        on(.get, path, handler)
    }

    /// Answers `GET` and `HEAD` at `path` always the same.
    public mutating func get(_ path: String, always response: Response) {
        let answer = Answer.now(response.prepared())
        on(.get, path) { _ in answer }
    }

    /// Answers `paths` also on the places that are reserved for the time when all others are taken. For health.
    public mutating func setEssential(_ paths: String...) {
        essentialPaths.formUnion(paths)
    }

    /// Whether the request's path has been set essential.
    public func isEssential(_ request: RequestHead) -> Bool { essentialPaths.contains(request.path) }

    /// The answer to `request`.
    public func respond(to request: RequestHead) -> Answer {
        let method = request.method
        if method == .connect { return .now(connectRefusal) }
        let path = request.path
        guard let route = routes[path] else {
            // RFC 9110 §9.3.7: `OPTIONS *` is about the server as a whole.
            if method == .options, path == "*" { return .now(serverOptions) }
            return .now(recognized.contains(method) ? notFound : notImplemented)
        }
        if let handler = route.handler(for: method) { return handler(request) }
        if method == .head, let handler = route.handler(for: .get) { return handler(request) }
        if method == .options { return .now(route.options) }
        return .now(recognized.contains(method) ? route.notAllowed : notImplemented)
    }
}
