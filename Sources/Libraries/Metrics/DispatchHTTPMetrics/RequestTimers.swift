internal import CoreMetrics
internal import HTTPTypes
internal import MetricDescriptions

/// The timers of all combinations of route, method and status that have occurred. Their number is bounded, whatever
/// clients send: all paths without a handler share one timer, and so do all unknown methods.
struct RequestTimers {
    private struct Entry {
        let method: Int
        let status: Int
        let timer: Timer
    }

    /// The methods of RFC 9110 and RFC 5789, the most frequent first.
    private static let methods: [HTTPRequest.Method] = [
        .get, .head, .post, .put, .delete, .options, .patch, .connect, .trace,
    ]
    /// The conventions' name for all others.
    private static let otherMethod = "_OTHER"

    private let factory: any MetricsFactory
    /// By route; a handful each, searched linearly.
    private var entries: [String: [Entry]] = [:]
    private var unrouted: [Entry] = []
    /// The latest request's timer: most requests equal the one before, and a comparison is cheaper than a lookup.
    private var latest: (path: String, method: HTTPRequest.Method, status: Int, timer: Timer)?

    init(factory: any MetricsFactory) {
        self.factory = factory
    }

    mutating func add(_ routes: [String]) {
        for route in routes where entries[route] == nil { entries[route] = [] }
    }

    /// The timer of a request; `path` is its raw path.
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
