internal import DispatchLoop
public import HTTP1
public import HTTPTypes

/// Exact paths to handlers. The router compares ``RequestHead/rawPath`` and normalizes nothing, so a path that a proxy in
/// front does not recognize has no handler here either. `HEAD` is answered wherever `GET` is, `OPTIONS` everywhere; other paths get 404, other
/// methods 405 with `Allow` (RFC 9110 §15.5.6), methods that nobody here has heard of 501 (§9.1).
public struct Router: Responder {
    /// Answers the requests of one path and method.
    public typealias Handler = @LoopActor (RequestHead) -> RouteResult

    /// Not a tuple: the function in one is called through another that adapts it.
    private struct Entry: Sendable {
        let method: HTTPRequest.Method
        let target: Target
    }

    private enum Target: Sendable {
        case always(RouteResult)
        case handler(Handler)

        @LoopActor
        func answer(_ request: RequestHead) -> RouteResult {
            switch self {
            case .always(let answer): answer
            case .handler(let handler): handler(request)
            }
        }
    }

    private struct Route: Sendable {
        var entries: [Entry] = []
        /// What `OPTIONS` and 405 say, prepared.
        var options = Response(status: .noContent)
        var notAllowed = Response(status: .methodNotAllowed)

        func target(for method: HTTPRequest.Method) -> Target? {
            for entry in entries where entry.method == method { return entry.target }
            return nil
        }

        mutating func update() {
            var methods: [String] = []
            for entry in entries {
                methods.append(entry.method.rawValue)
                if entry.method == .get { methods.append("HEAD") }
            }
            if !methods.contains("OPTIONS") { methods.append("OPTIONS") }
            let allow = methods.joined(separator: ", ")
            options = Response(status: .noContent, fields: [.allow: allow]).prepared()
            notAllowed = ErrorBody.response(
                .methodNotAllowed, "This path answers \(allow).", fields: [.allow: allow]
            ).prepared()
        }
    }

    private var routes: [Route] = []
    private var indices: [String: Int] = [:]
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
        set(.handler(handler), for: method, path)
    }

    private mutating func set(_ target: Target, for method: HTTPRequest.Method, _ path: String) {
        recognized.insert(method)
        let index = indices[path] ?? routes.count
        if index == routes.count { routes.append(Route()) }
        indices[path] = index
        routes[index].entries.removeAll { $0.method == method }
        routes[index].entries.append(Entry(method: method, target: target))
        routes[index].update()

        var methods: [String] = []
        for route in routes {
            for entry in route.entries where !methods.contains(entry.method.rawValue) {
                methods.append(entry.method.rawValue)
            }
        }
        if methods.contains("GET"), !methods.contains("HEAD") { methods.append("HEAD") }
        if !methods.contains("OPTIONS") { methods.append("OPTIONS") }
        serverOptions = Response(status: .noContent, fields: [.allow: methods.sorted().joined(separator: ", ")])
    }

    /// The paths that something is served at.
    public var paths: [String] { indices.keys.sorted() }

    /// Answers `GET` and `HEAD` at `path` with what `handler` says.
    public mutating func get(_ path: String, _ handler: @escaping Handler) {
        on(.get, path, handler)
    }

    /// Answers `GET` and `HEAD` at `path` always the same.
    public mutating func get(_ path: String, always response: Response) {
        set(.always(.now(response.prepared())), for: .get, path)
    }

    /// Answers `paths` also on the places that are reserved for the time when all others are taken. For health.
    public mutating func setEssential(_ paths: String...) {
        essentialPaths.formUnion(paths)
    }

    /// Whether the request's path has been set essential.
    public func isHealthCheck(_ request: RequestHead) -> Bool { essentialPaths.contains(request.rawPath) }

    /// The answer to `request`.
    public func respond(to request: RequestHead) -> RouteResult {
        let method = request.method
        if method == .connect { return .now(connectRefusal) }
        let path = request.rawPath
        guard let index = indices[path] else {
            // RFC 9110 §9.3.7: `OPTIONS *` is about the server as a whole.
            if method == .options, path == "*" { return .now(serverOptions) }
            return .now(recognized.contains(method) ? notFound : notImplemented)
        }
        if let target = routes[index].target(for: method) { return target.answer(request) }
        if method == .head, let target = routes[index].target(for: .get) { return target.answer(request) }
        if method == .options { return .now(routes[index].options) }
        return .now(recognized.contains(method) ? routes[index].notAllowed : notImplemented)
    }
}
