internal import CoreMetrics
internal import HTTPTypes
internal import MetricDescriptions

/// The timer of each combination of route, method and status that has occurred. Bounded, whatever clients send: paths
/// that nothing is served at have one route between them, methods that nobody knows are one method.
struct RequestTimers {
    private struct Entry {
        let method: Int
        let status: Int
        let timer: Timer
    }

    /// The methods of RFC 9110 and RFC 5789; the order is the likelihood.
    private static let methods: [HTTPRequest.Method] = [
        .get, .head, .post, .put, .delete, .options, .patch, .connect, .trace,
    ]
    /// What all others are called, as the conventions say.
    private static let otherMethod = "_OTHER"

    private let factory: any MetricsFactory
    /// By route; a handful each, looked through from the front.
    private var entries: [String: [Entry]] = [:]
    private var unrouted: [Entry] = []
    /// The latest request's: most requests are like the one before, and comparing is cheaper than looking up.
    private var latest: (path: String, method: HTTPRequest.Method, status: Int, timer: Timer)?

    init(factory: any MetricsFactory) {
        self.factory = factory
    }

    mutating func add(_ routes: [String]) {
        for route in routes where entries[route] == nil { entries[route] = [] }
    }

    /// The timer for a request; `path` is its path as it came.
    mutating func timer(path: String, method: HTTPRequest.Method, status: Int) -> Timer {
        if let latest, latest.status == status, latest.path == path, latest.method == method { return latest.timer }
        let timer = lookUp(path, method, status)
        latest = (path, method, status, timer)
        return timer
    }

    private mutating func lookUp(_ path: String, _ method: HTTPRequest.Method, _ status: Int) -> Timer {
        let method = Self.methods.firstIndex(of: method) ?? Self.methods.count
        guard let known = entries.index(forKey: path) else {
            return Self.timer(in: &unrouted, route: nil, method, status, factory)
        }
        return Self.timer(in: &entries.values[known], route: path, method, status, factory)
    }

    private static func timer(
        in entries: inout [Entry], route: String?, _ method: Int, _ status: Int, _ factory: any MetricsFactory
    ) -> Timer {
        for entry in entries where entry.status == status && entry.method == method { return entry.timer }
        var dimensions = [
            ("http.request.method", method < methods.count ? methods[method].rawValue : otherMethod),
            ("http.response.status_code", String(status)),
        ]
        if let route { dimensions.insert(("http.route", route), at: 1) }
        let timer = Timer(label: ServerMetric.requestDuration.label, dimensions: dimensions, factory: factory)
        entries.append(Entry(method: method, status: status, timer: timer))
        return timer
    }
}
