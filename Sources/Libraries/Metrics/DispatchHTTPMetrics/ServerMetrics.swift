public import CoreMetrics
public import DispatchHTTP
public import DispatchLoop
internal import HTTP1
internal import HTTPTypes
public import MetricDescriptions

/// Turns what HTTP servers do into metrics, for whatever backend swift-metrics has been given.
///
/// ```swift
/// let metrics = ServerMetrics(routes: router.paths)
/// let server = HTTPServer(configuration: configuration, responder: router, observer: metrics)
/// metrics.watch(server)
/// ```
///
/// What happens is counted as it happens. What merely is – the connections – is written by ``refresh()``: call it before
/// the values are read, or every few seconds where they are sent.
@LoopActor
public final class ServerMetrics: ServerObserver {
    /// What the metrics mean, for backends that want to know.
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
    private var servers: [HTTPServer] = []

    /// Metrics of one or more servers.
    ///
    /// - Parameters:
    ///   - routes: The paths that something is served at; requests for others have no route.
    ///   - prefix: The prefix of the metrics that OpenTelemetry does not define.
    ///   - factory: Where the metrics go.
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

    /// Something is served at these paths too.
    public func addRoutes(_ routes: [String]) {
        timers.add(routes)
    }

    /// Counts this server's connections too, with each ``refresh()``.
    public func watch(_ server: HTTPServer) {
        servers.append(server)
    }

    /// Writes down what is at this moment.
    public func refresh() {
        active.record(servers.reduce(0) { $0 + $1.activeCount })
        let idleCount = servers.reduce(0) { $0 + $1.idleCount }
        idle.record(idleCount)
        busy.record(servers.reduce(0) { $0 + $1.connectionCount } - idleCount)
    }

    // MARK: What happens

    /// Counts a connection.
    public func connectionOpened() { opened.increment() }

    /// Counts the end of a connection.
    public func connectionClosed(_ reason: ConnectionCloseReason) { closed[reason]?.increment() }

    /// Counts a request; a streaming answer when it ends.
    public func answered(_ exchange: Exchange) {
        timers.timer(path: exchange.request.rawPath, method: exchange.request.method, status: exchange.status)
            .recordNanoseconds(exchange.nanoseconds)
    }

    /// Counts what was no valid request.
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

    /// What is counted from zero: what the parser refuses with, and 408 for what came too late.
    private static let refusalStatuses = Set(HTTP1Error.allCases.map(\.status.code) + [408])

    /// Counts a request whose client has gone.
    public func abandoned(_ exchange: Exchange) { abandonments.increment() }

    /// Counts a pause.
    public func acceptPaused(errno: Int32) { acceptPauses.increment() }
}
