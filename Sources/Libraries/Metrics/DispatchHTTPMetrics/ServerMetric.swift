internal import MetricDescriptions

/// The server's metrics. Those that begin with `http.server` are OpenTelemetry's
/// (https://opentelemetry.io/docs/specs/semconv/http/http-metrics/); the others have a prefix.
struct ServerMetric {
    /// The boundaries that the conventions give for `http.server.request.duration`, in seconds.
    static let requestBoundaries = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]

    static let requestDuration = MetricDescription(
        "http.server.request.duration", .histogram(requestBoundaries), in: .seconds,
        "Time from a request's last byte to its response; paths without a handler have no http_route.")
    static let activeRequests = MetricDescription(
        "http.server.active_requests", .gauge, "Requests in work, streams included.")
    let connections, opened, closed, refused, abandoned, acceptPauses: MetricDescription

    init(prefix: String) {
        connections = MetricDescription(
            "\(prefix).connections", .gauge, "Connections from clients, idle or busy.")
        opened = MetricDescription(
            "\(prefix).connections_opened", .counter, "Connections accepted.")
        closed = MetricDescription(
            "\(prefix).connections_closed", .counter, "Connections closed, by reason.")
        refused = MetricDescription(
            "\(prefix).requests_refused", .counter,
            "Invalid and timed-out requests, by the status of the response.")
        abandoned = MetricDescription(
            "\(prefix).requests_abandoned", .counter, "Requests whose client left before the response.")
        acceptPauses = MetricDescription(
            "\(prefix).accept_pauses", .counter,
            "Pauses of accepting connections, for lack of descriptors or memory.")
    }

    var all: [MetricDescription] {
        [
            Self.requestDuration, Self.activeRequests, connections, opened, closed, refused, abandoned, acceptPauses,
        ]
    }
}
