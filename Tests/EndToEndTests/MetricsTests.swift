import FaultLab
import Foundation
import PostgresTestKit
import Testing

/// Checks of other programs run once: a sanitizer finds nothing in them.
private let isPlainPass = ProcessInfo.processInfo.environment["DARUMA_SANITIZER"] == nil

private func file(_ path: String) throws -> String {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../..")
    return try String(contentsOf: root.appendingPathComponent(path), encoding: .utf8)
}

extension EndToEnd {
    @Suite("asked for its metrics,", .serialized)
    struct MetricsTests {
        /// The names that dashboards, alert rules and operators rely on.
        private static let names = [
            "db_client_connection_count", "db_client_connection_max", "db_client_connection_idle_min",
            "db_client_connection_pending_requests", "db_client_connection_timeouts_total",
            "db_client_connection_create_time_seconds_bucket", "db_client_connection_wait_time_seconds_sum",
            "db_client_connection_use_time_seconds_count", "db_client_operation_duration_seconds_bucket",
            "http_server_request_duration_seconds_bucket", "http_server_active_requests", "daruma_db_up",
            "daruma_db_state", "daruma_db_last_success_timestamp_seconds",
            "daruma_db_last_transition_timestamp_seconds", "daruma_db_outages_total",
            "daruma_db_outage_seconds_total", "daruma_db_recovery_time_seconds_count",
            "daruma_db_connect_attempts_total", "daruma_db_connections_closed_total",
            "daruma_db_query_retries_saved_total", "daruma_db_next_attempt_timestamp_seconds",
            "process_resident_memory_bytes", "process_virtual_memory_bytes", "process_open_fds", "process_max_fds",
            "process_start_time_seconds", "process_cpu_seconds_total", "daruma_build_info",
        ]

        /// Scrapes the service's metrics, as text.
        private func metrics(of service: Service, port: UInt16? = nil) async throws -> String {
            let exchange = await HTTPProbe.get("/metrics", port: port ?? service.port, limit: patience)
            #expect(exchange.status == 200)
            return exchange.body
        }

        @Test("they are well formed, complete, count what was asked, and no client can add to their labels")
        func wellFormed() async throws {
            try await PostgresSandbox.withSandbox { sandbox in
                try await withService(sandbox.connectionURL(), arguments: ["--admin-port", "0"]) { service in
                    let admin = try await service.adminPort()
                    #expect(await service.get("/metrics").status == 404, "they are on the operators' port only")
                    #expect(try await service.isGoodAgain())
                    for number in 0..<20 { #expect(await service.get("/no/such\(number)").status == 404) }
                    for _ in 0..<5 { #expect(await service.get("/?x=\"%0A").isGood) }
                    let text = try await metrics(of: service, port: admin)
                    let metrics = try MetricsText(text)
                    #expect(Set(Self.names).subtracting(metrics.names) == [])
                    let requests = "http_server_request_duration_seconds_count"
                    #expect(metrics.value(requests, ["http_route": "/", "http_response_status_code": "200"]) == 5)
                    let unrouted = metrics.samples.filter { $0.name == requests && $0.labels["http_route"] == nil }
                    #expect(unrouted.map(\.value) == [20])
                    #expect(!text.contains("such"))
                    #expect(!text.contains("127.0.0.1"), "neither Host nor the database's address is a label")
                    #expect(metrics.value("daruma_db_up") == 1)
                    #expect(metrics.value("db_client_connection_max") == 10)
                    // Usually one. Slow logins leave a few more: the pool lets an overtaken login finish.
                    let idle = metrics.value("db_client_connection_count", ["db_client_connection_state": "idle"]) ?? 0
                    #expect((1...4).contains(idle))
                    #expect(metrics.value("db_client_operation_duration_seconds_count") ?? 0 >= 1)
                    for name in metrics.types.keys { #expect(metrics.helps[name] != nil, "\(name) has no help") }
                    if isPlainPass, PrometheusServer.isInstalled {
                        #expect(await PrometheusServer.problems(in: text) == "")
                    }
                    try checkUses(of: metrics)
                }
            }
        }

        /// Checks that the dashboard and the alert rules use only metrics and labels that exist.
        private func checkUses(of metrics: MetricsText) throws {
            let dashboard = try JSONSerialization.jsonObject(
                with: Data(try file("scripts/grafana/daruma.dashboard.json").utf8))
            let rules = Expressions.all(inRules: try file("scripts/grafana/daruma.rules.yml"))
            let expressions = Expressions.all(in: dashboard) + rules
            #expect(expressions.count > 40)
            #expect(rules.count > 8)
            // Prometheus adds these itself.
            let labels = Dictionary(grouping: metrics.samples, by: \.name)
                .mapValues { Set($0.flatMap(\.labels.keys)).union(["job", "instance"]) }
                .merging(["up": ["job", "instance"]]) { $1 }
            for expression in expressions {
                for use in Expressions.uses(in: expression) {
                    guard let known = labels[use.name] else {
                        Issue.record("there is no \(use.name): \(expression)")
                        continue
                    }
                    #expect(use.labels.subtracting(known) == [], "\(expression)")
                }
            }
        }

        @Test("there are none when they are switched off")
        func switchedOff() async throws {
            try await withService("postgres://admin@127.0.0.1:1/mydb", arguments: ["--metrics", "false"]) { service in
                #expect(await service.get("/metrics").status == 404)
                #expect(await service.get("/").isGood)
            }
        }

        @Test(
            "a real Prometheus knows of the outage that was made, takes the alert rules, and understands the dashboard",
            .enabled(if: isPlainPass && PrometheusServer.isInstalled))
        func realPrometheus() async throws {
            try await PostgresSandbox.withSandbox { sandbox in
                try await withService(sandbox.connectionURL()) { service in
                    let rules = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                        .appendingPathComponent("../../scripts/grafana/daruma.rules.yml").standardizedFileURL.path
                    let prometheus = try await PrometheusServer.start(
                        scraping: service.port, rules: [rules], within: patience)
                    let outage = try await ObservedOutage.make(
                        sandbox, seenBy: prometheus, hold: .seconds(1), patience: patience)
                    for check in outage.checks { #expect(check.isKept, "\(check.text)") }
                    let dashboard = try file("scripts/grafana/daruma.dashboard.json")
                    let parsed = try JSONSerialization.jsonObject(with: Data(dashboard.utf8))
                    for expression in Expressions.all(in: parsed) {
                        // Throws if Prometheus does not accept it.
                        _ = try await prometheus.value(of: Expressions.filledIn(expression))
                    }
                    try await prometheus.stop()
                }
            }
        }

        @Test("the alert rules do what their unit tests say", .enabled(if: isPlainPass && PrometheusServer.isInstalled))
        func rules() async throws {
            let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
                .appendingPathComponent("../../scripts/grafana").standardizedFileURL.path
            try await PrometheusServer.promtool(["check", "rules", "daruma.rules.yml"], folder: folder)
            try await PrometheusServer.promtool(["test", "rules", "daruma.rules.test.yml"], folder: folder)
        }
    }
}

/// The subset of PromQL that these tests need.
private enum Expressions {
    /// Every `expr` in a dashboard.
    static func all(in json: Any) -> [String] {
        switch json {
        case let array as [Any]: array.flatMap(all)
        case let object as [String: Any]:
            object.flatMap { key, value in (key == "expr" ? value as? String : nil).map { [$0] } ?? all(in: value) }
        default: []
        }
    }

    /// Every `expr` in a file of rules; one may span several lines.
    static func all(inRules yaml: String) -> [String] {
        yaml.components(separatedBy: "- alert: ").dropFirst().map { rule in
            let lines = rule.components(separatedBy: "\n").drop { !$0.contains(" expr:") }
            return lines.prefix { !$0.contains(" for:") && !$0.contains(" labels:") }.joined(separator: " ")
                .replacingOccurrences(of: "expr:", with: "")
        }
    }

    /// The metrics in an expression, each with the labels that its selectors match.
    static func uses(in expression: String) -> [(name: String, labels: Set<String>)] {
        let prefixes = ["daruma_", "db_client_", "http_server_", "process_", "up"]
        let flat = expression.replacing(/\b(by|without|on|ignoring) *\([^)]*\)/, with: "")
        return flat.matches(of: /([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[^}]*\})?/).compactMap { match in
            let name = String(match.1)
            guard prefixes.contains(where: { $0 == "up" ? name == $0 : name.hasPrefix($0) }) else { return nil }
            let labels = (match.2 ?? "").matches(of: /([a-zA-Z_][a-zA-Z0-9_]*) *(=|!)/).map { String($0.1) }
            return (name, Set(labels))
        }
        // A match takes the braces with the name before them, so a string inside is not taken for a metric.
        .filter { !$0.name.isEmpty }
    }

    /// Replaces Grafana's variables with possible values.
    static func filledIn(_ expression: String) -> String {
        expression.replacing("$__rate_interval", with: "1m").replacing("$__range", with: "5m")
            .replacing("$__interval", with: "30s").replacing("$job", with: ".*").replacing("$instance", with: ".*")
    }
}
