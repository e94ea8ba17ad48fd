internal import MetricDescriptions

/// The server's metrics. Those that begin with `http.server` are OpenTelemetry's
/// (https://opentelemetry.io/docs/specs/semconv/http/http-metrics/).
enum ServerMetric {
    /// The boundaries that the conventions give for `http.server.request.duration`, in seconds.
    static let requestBoundaries = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

    static let requestDuration = MetricDescription(
        "http.server.request.duration", .histogram(requestBoundaries), in: .seconds,
        "Time from a request's last byte to its response; paths without a handler have no http_route.")
    static let activeRequests = MetricDescription(
        "http.server.active_requests", .gauge, "Requests in work, streams included.")
    static let connections = MetricDescription(
        "daruma.http.connections", .gauge, "Connections from clients, idle or busy.")
    static let opened = MetricDescription(
        "daruma.http.connections_opened", .counter, "Connections accepted.")
    static let closed = MetricDescription(
        "daruma.http.connections_closed", .counter, "Connections closed, by reason.")
    static let refused = MetricDescription(
        "daruma.http.requests_refused", .counter,
        "Invalid and timed-out requests, by the status of the response.")
    static let abandoned = MetricDescription(
        "daruma.http.requests_abandoned", .counter, "Requests whose client left before the response.")
    static let acceptPauses = MetricDescription(
        "daruma.http.accept_pauses", .counter,
        "Pauses of accepting connections, for lack of descriptors or memory.")

    static let all = [
        requestDuration, activeRequests, connections, opened, closed, refused, abandoned, acceptPauses,
    ]
}
