internal import DispatchLoop
public import HTTP1
public import HTTPTypes

/// Maps exact paths to handlers. The router compares ``RequestHead/rawPath`` and normalizes nothing, so a path that a
/// proxy in front does not recognize has no handler here either. It answers `HEAD` on each path with a handler for
/// `GET`, and `OPTIONS` on every path. Other paths get 404, other methods 405 with `Allow` (RFC 9110 §15.5.6), unknown
/// methods 501 (§9.1).
public struct Router: Responder {
    /// Answers the requests of one path and method.
    public typealias Handler = @LoopActor (RequestHead) -> RouteResult

    /// Not a tuple, which would call its function through an adapter.
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
        var options = Response(status: .noContent)
        var notAllowed = Response(status: .methodNotAllowed)

        func target(for method: HTTPRequest.Method) -> Target? {
            for entry in entries where entry.method == method { return entry.target }
            return nil
        }

        /// The methods that the path answers.
        var methods: [String] {
            let own = entries.flatMap { $0.method == .get ? ["GET", "HEAD"] : [$0.method.rawValue] }
            return own.contains("OPTIONS") ? own : own + ["OPTIONS"]
        }

        mutating func update(_ errorResponse: ErrorResponse) {
            let allow = methods.joined(separator: ", ")
            options = Response(status: .noContent, fields: [.allow: allow]).prepared()
            notAllowed = errorResponse(.methodNotAllowed, "This path answers \(allow).", [.allow: allow]).prepared()
        }
    }

    private var routes: [Route] = []
    private var indices: [String: Int] = [:]
    private var healthPaths: Set<String> = []
    private var serverOptions = Response(status: .noContent, fields: [.allow: "OPTIONS"])
    /// The methods of RFC 9110 §9.3 and RFC 5789, and all that have a handler.
    private var recognized: Set<HTTPRequest.Method> = [
        .get, .head, .post, .put, .delete, .connect, .options, .trace, .patch,
    ]
    private let errorResponse: ErrorResponse
    private let notImplemented: Response
    private let notFound: Response
    private var connectRejection: Response

    /// A router without routes.
    ///
    /// - Parameter errorResponse: Makes the responses with 404, 405 and 501.
    public init(errorResponse: @escaping ErrorResponse = Response.plainTextError) {
        self.errorResponse = errorResponse
        notImplemented = errorResponse(.notImplemented, "This server does not know this method.", [:]).prepared()
        notFound = errorResponse(.notFound, "There is nothing at this path.", [:]).prepared()
        connectRejection = errorResponse(.notImplemented, "This server is no proxy.", [:])
        connectRejection.closesConnection = true
    }

    /// Answers `method` at `path` with `handler`. A later handler replaces an earlier one.
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
        routes[index].update(errorResponse)
        let methods = Set(routes.flatMap(\.methods)).sorted()
        serverOptions = Response(status: .noContent, fields: [.allow: methods.joined(separator: ", ")])
    }

    /// The paths that have a handler.
    public var paths: [String] { indices.keys.sorted() }

    /// Answers `GET` and `HEAD` at `path` with `handler`.
    public mutating func get(_ path: String, _ handler: @escaping Handler) {
        on(.get, path, handler)
    }

    /// Answers `GET` and `HEAD` at `path` with a fixed response.
    public mutating func get(_ path: String, always response: Response) {
        set(.always(.now(response.prepared())), for: .get, path)
    }

    /// Makes `paths` health checks, which the server answers on its reserved places too, when all others are taken.
    public mutating func setEssential(_ paths: String...) {
        healthPaths.formUnion(paths)
    }

    /// Whether the request's path is essential.
    public func isHealthCheck(_ request: RequestHead) -> Bool { healthPaths.contains(request.rawPath) }

    /// The answer to `request`.
    public func respond(to request: RequestHead) -> RouteResult {
        let method = request.method
        if method == .connect { return .now(connectRejection) }
        let path = request.rawPath
        guard let index = indices[path] else {
            // RFC 9110 §9.3.7: `OPTIONS *` asks about the server as a whole.
            if method == .options, path == "*" { return .now(serverOptions) }
            return .now(recognized.contains(method) ? notFound : notImplemented)
        }
        if let target = routes[index].target(for: method) { return target.answer(request) }
        if method == .head, let target = routes[index].target(for: .get) { return target.answer(request) }
        if method == .options { return .now(routes[index].options) }
        return .now(recognized.contains(method) ? routes[index].notAllowed : notImplemented)
    }
}
