public import CoreMetrics
public import DispatchHTTP
public import DispatchLoop
internal import HTTP1
internal import HTTPTypes
public import MetricDescriptions

/// The metrics of HTTP servers, for any backend of swift-metrics.
///
/// ```swift
/// let metrics = ServerMetrics(routes: router.paths)
/// let server = HTTPServer(configuration: configuration, responder: router, observers: [metrics])
/// metrics.watch(server)
/// ```
///
/// Events are counted at once. ``refresh()`` writes the gauges, such as connections: call it before each scrape, or
/// every few seconds for a backend that pushes.
@LoopActor
public final class ServerMetrics: ServerObserver {
    /// The metrics' descriptions, for backends that need them.
    public nonisolated static func descriptions(prefix: String = defaultPrefix) -> [MetricDescription] {
        ServerMetric(prefix: prefix).all
    }

    /// The prefix of the metrics that OpenTelemetry does not define, unless another one is given.
    public nonisolated static let defaultPrefix = "http.server"

    private let metric: ServerMetric
    private var timers: RequestTimers
    private let opened: Counter
    private let closed: [ConnectionCloseReason: Counter]
    private var refusals: [Int: Counter] = [:]
    private let abandonments: Counter
    private let acceptPauses: Counter
    private let active: Gauge
    private let busy: Gauge
    private let idle: Gauge
    private let factory: any MetricsFactory
    /// Weak, because a server keeps its observers.
    private var servers: [WeakServer] = []

    private struct WeakServer {
        weak var server: HTTPServer?
    }

    /// Metrics of one or more servers.
    ///
    /// - Parameters:
    ///   - routes: The paths that have a handler; requests for others have no route label.
    ///   - prefix: The prefix of the metrics that OpenTelemetry does not define.
    ///   - factory: The backend.
    public init(
        routes: [String] = [], prefix: String = defaultPrefix, factory: any MetricsFactory = MetricsSystem.factory
    ) {
        self.factory = factory
        let metric = ServerMetric(prefix: prefix)
        self.metric = metric
        timers = RequestTimers(factory: factory)
        timers.add(routes)
        opened = Counter(label: metric.opened.label, factory: factory)
        closed = Dictionary(
            uniqueKeysWithValues: ConnectionCloseReason.allCases.map {
                let reason = ("reason", $0.rawValue)
                return ($0, Counter(label: metric.closed.label, dimensions: [reason], factory: factory))
            })
        abandonments = Counter(label: metric.abandoned.label, factory: factory)
        acceptPauses = Counter(label: metric.acceptPauses.label, factory: factory)
        active = Gauge(label: ServerMetric.activeRequests.label, factory: factory)
        func connections(_ state: String) -> Gauge {
            Gauge(label: metric.connections.label, dimensions: [("state", state)], factory: factory)
        }
        busy = connections("busy")
        idle = connections("idle")
        for status in Self.refusalStatuses { refusals[status] = refusal(status) }
    }

    /// Adds paths that have a handler.
    public func addRoutes(_ routes: [String]) {
        timers.add(routes)
    }

    /// Includes this server in each ``refresh()`` as long as it exists.
    public func watch(_ server: HTTPServer) { servers.append(WeakServer(server: server)) }

    /// Writes the current values of the gauges.
    public func refresh() {
        servers.removeAll { $0.server == nil }
        let servers = servers.compactMap(\.server)
        active.record(servers.reduce(0) { $0 + $1.activeCount })
        let idleCount = servers.reduce(0) { $0 + $1.idleCount }
        idle.record(idleCount)
        busy.record(servers.reduce(0) { $0 + $1.connectionCount } - idleCount)
    }

    // MARK: Events

    /// Counts a connection.
    public func connectionOpened() { opened.increment() }

    /// Counts the end of a connection.
    public func connectionClosed(_ reason: ConnectionCloseReason) { closed[reason]?.increment() }

    /// Counts a request; a streaming response at its end.
    public func answered(_ exchange: Exchange) {
        timers.timer(path: exchange.request.rawPath, method: exchange.request.method, status: exchange.status)
            .recordNanoseconds(exchange.nanoseconds)
    }

    /// Counts a rejected request.
    public func refused(_ refusal: RejectedRequest) {
        let counter = refusals[refusal.status] ?? self.refusal(refusal.status)
        refusals[refusal.status] = counter
        counter.increment()
    }

    private func refusal(_ status: Int) -> Counter {
        Counter(
            label: metric.refused.label, dimensions: [("http.response.status_code", String(status))],
            factory: factory)
    }

    /// The statuses that exist from the start: those of the parser, and 408 for timeouts.
    private static let refusalStatuses = Set(HTTP1Error.allCases.map(\.status.code) + [408])

    /// Counts a request whose client has left.
    public func abandoned(_ exchange: Exchange) { abandonments.increment() }

    /// Counts a pause in accepting.
    public func acceptPaused(errno: Int32) { acceptPauses.increment() }
}
