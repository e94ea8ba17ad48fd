import CoreMetrics
import FaultLab
import MetricDescriptions
import Testing

@testable import PrometheusExposition

@Suite struct TextFormatTests {
    @Test(
        "OpenTelemetry's names become Prometheus's",
        arguments: [
            (MetricDescription("db.client.connection.count", .gauge, ""), "db_client_connection_count"),
            (MetricDescription("db.client.connection.timeouts", .counter, ""), "db_client_connection_timeouts_total"),
            (
                MetricDescription("http.server.request.duration", .histogram([1]), in: .seconds, ""),
                "http_server_request_duration_seconds"
            ),
            (MetricDescription("daruma.db.outage", .counter, in: .seconds, ""), "daruma_db_outage_seconds_total"),
            (MetricDescription("process.resident_memory", .gauge, in: .bytes, ""), "process_resident_memory_bytes"),
            (MetricDescription("already_total", .counter, ""), "already_total"),
            (MetricDescription("wait_seconds", .gauge, in: .seconds, ""), "wait_seconds"),
            (MetricDescription("9 lives, übrig", .gauge, ""), "_9_lives___brig"),
        ])
    func names(description: MetricDescription, name: String) {
        #expect(TextFormat.name(description) == name)
    }

    @Test("a gauge with a histogram's suffix is untyped, others keep their types")
    func types() {
        #expect(TextFormat.type(.gauge, name: "db_client_connection_count") == "untyped")
        #expect(TextFormat.type(.gauge, name: "db_client_connection_max") == "gauge")
        #expect(TextFormat.type(.counter, name: "a_total") == "counter")
        #expect(TextFormat.type(.histogram([1]), name: "a_seconds") == "histogram")
    }

    @Test("a label's value cannot end the label or start a line, and its length is bounded")
    func labels() {
        let hostile = "\"} 1\nevil 2\n\\\r\u{1B}[31m"
        #expect(
            TextFormat.labels([("http.route", hostile)])
                == "http_route=\"\\\"} 1\\nevil 2\\n\\\\\u{FFFD}\u{FFFD}[31m\"")
        #expect(TextFormat.escaped(String(repeating: "x", count: 10_000)).count == TextFormat.longestValue)
        #expect(TextFormat.labels([("a.b", "1"), ("a_b", "2")]) == "a_b=\"1\"")
        #expect(TextFormat.labels([("le", "1"), ("__name__", "2")]) == "label_le=\"1\",label___name__=\"2\"")
    }

    @Test(
        "numbers have their usual form",
        arguments: [
            (0.0, "0"), (1, "1"), (0.005, "0.005"), (2.5, "2.5"), (-3, "-3"), (1_795_227_756.627, "1795227756.627"),
            (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"), (1e18, "1e+18"), (3.6e-05, "3.6e-05"),
        ])
    func numbers(value: Double, text: String) {
        #expect(TextFormat.number(value) == text)
    }
}

@Suite struct PrometheusMetricsTests {
    private func text(_ metrics: PrometheusMetrics) throws -> MetricsText {
        try MetricsText(String(decoding: metrics.text(), as: UTF8.self))
    }

    @Test("counters, gauges and timers are written with help and type")
    func whole() {
        let metrics = PrometheusMetrics([
            MetricDescription("jobs.done", .counter, "Jobs\nthat are \\ done."),
            MetricDescription("jobs.time", .histogram([0.5, 1]), in: .seconds, "Time."),
        ])
        Counter(label: "jobs.done", dimensions: [("kind", "small")], factory: metrics).increment(by: 3)
        Gauge(label: "jobs.waiting", factory: metrics).record(2.5)
        let timer = Timer(label: "jobs.time", factory: metrics)
        timer.recordNanoseconds(500_000_000)
        timer.recordNanoseconds(500_000_001)
        timer.recordNanoseconds(7_000_000_000)
        #expect(
            String(decoding: metrics.text(), as: UTF8.self) == #"""
                # HELP jobs_done_total Jobs\nthat are \\ done.
                # TYPE jobs_done_total counter
                jobs_done_total{kind="small"} 3
                # HELP jobs_time_seconds Time.
                # TYPE jobs_time_seconds histogram
                jobs_time_seconds_bucket{le="0.5"} 1
                jobs_time_seconds_bucket{le="1"} 2
                jobs_time_seconds_bucket{le="+Inf"} 3
                jobs_time_seconds_sum 8.000000001
                jobs_time_seconds_count 3
                # TYPE jobs_waiting gauge
                jobs_waiting 2.5

                """#)
    }

    @Test("a value on a boundary counts below it, for every boundary of the conventions")
    func boundaries() throws {
        let bounds = PrometheusMetrics.standardBoundaries
        let metrics = PrometheusMetrics([MetricDescription("t", .histogram(bounds), in: .seconds, "")])
        let timer = Timer(label: "t", factory: metrics)
        for bound in bounds { timer.recordNanoseconds(Int64((bound * 1e9).rounded())) }
        for (index, bound) in bounds.enumerated() {
            let count = try text(metrics).value("t_seconds_bucket", ["le": TextFormat.number(bound)])
            #expect(count == Double(index + 1))
        }
    }

    @Test("equal labels and dimensions share one series, until it is destroyed")
    func identity() throws {
        let metrics = PrometheusMetrics([])
        let one = Counter(label: "a", dimensions: [("x", "1")], factory: metrics)
        Counter(label: "a", dimensions: [("x", "1")], factory: metrics).increment()
        one.increment()
        #expect(try text(metrics).value("a_total", ["x": "1"]) == 2)
        one.destroy()
        #expect(try text(metrics).value("a_total") == nil)
    }

    @Test("an instrument of another kind under an existing name does no harm")
    func conflict() throws {
        let metrics = PrometheusMetrics([])
        Gauge(label: "a_total", factory: metrics).record(7)
        Counter(label: "a", factory: metrics).increment()
        Timer(label: "a_total", factory: metrics).recordNanoseconds(1)
        #expect(try text(metrics).value("a_total") == 7)
    }

    @Test("combinations of labels beyond the limit share one series")
    func overflow() throws {
        let metrics = PrometheusMetrics([], seriesLimit: 10)
        for number in 0..<1_000 {
            Counter(label: "a", dimensions: [("x", "\(number)")], factory: metrics).increment()
        }
        let text = try text(metrics)
        #expect(text.samples.count == 11)
        #expect(text.value("a_total", ["otel_metric_overflow": "true"]) == 990)
        #expect(text.value("a_total") == 1_000)
    }

    @Test("concurrent threads lose no count")
    func threads() async throws {
        let metrics = PrometheusMetrics([])
        let counter = Counter(label: "a", factory: metrics)
        let seconds = FloatingPointCounter(label: "b", factory: metrics)
        let timer = Timer(label: "t", factory: metrics)
        await withTaskGroup { group in
            for _ in 0..<4 {
                group.addTask {
                    for _ in 0..<5_000 {
                        counter.increment()
                        seconds.increment(by: 0.5)
                        timer.recordNanoseconds(1_000_000_000)
                    }
                }
            }
        }
        let text = try text(metrics)
        #expect(text.value("a_total") == 20_000)
        #expect(text.value("b_total") == 10_000)
        #expect(text.value("t_seconds_count") == 20_000)
        #expect(text.value("t_seconds_sum") == 20_000)
    }
}
