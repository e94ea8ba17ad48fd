package import PostgresTestKit

/// An injected outage, as a real Prometheus that scrapes the service reports it.
package struct ObservedOutage: Sendable {
    /// The upper bound of its length: from before the stop until Prometheus saw the database up.
    package let atMost: Duration
    /// The lower bound of its length: from after the stop to the start.
    package let atLeast: Duration
    /// The increase of `daruma_db_outages_total`.
    package let outages: Double
    /// The increase of `daruma_db_outage_seconds_total`.
    package let outageSeconds: Double
    /// The minimum of `daruma_db_up`.
    package let lowestUp: Double
    /// The increase of the count of `daruma_db_recovery_time_seconds`.
    package let recoveries: Double
    /// The seconds since the database's last reply.
    package let lastSuccessAge: Double
    private static let expressions = [
        "daruma_db_outages_total", "daruma_db_outage_seconds_total", "min_over_time(daruma_db_up[1m])",
        "daruma_db_recovery_time_seconds_count", "time() - daruma_db_last_success_timestamp_seconds",
    ]

    /// Stops the database, waits, starts it, and queries Prometheus. The database must be up before.
    package static func make(
        _ database: PostgresSandbox, seenBy prometheus: PrometheusServer, hold: Duration,
        patience: Duration = .seconds(20)
    ) async throws -> ObservedOutage {
        func wait(for expression: String) async throws {
            guard
                try await Deadline(in: patience).wait(
                    every: .milliseconds(50), until: { try await prometheus.value(of: expression) != nil })
            else { throw SandboxError(.timedOut, "prometheus did not see '\(expression)' within \(patience)") }
        }
        func value(_ number: Int) async throws -> Double {
            try await prometheus.value(of: expressions[number]) ?? .nan
        }
        try await wait(for: "daruma_db_up == 1")
        let before = try await (value(0), value(1), value(3))
        let begin = ContinuousClock.now
        try await database.stop(.fast)
        let stopped = ContinuousClock.now
        try await wait(for: "daruma_db_up == 0")
        try await Task.sleep(for: max(.zero, hold - (ContinuousClock.now - stopped)))
        let atLeast = ContinuousClock.now - stopped
        try await database.start()
        try await wait(for: "daruma_db_up == 1")
        return ObservedOutage(
            atMost: ContinuousClock.now - begin, atLeast: atLeast, outages: try await value(0) - before.0,
            outageSeconds: try await value(1) - before.1, lowestUp: try await value(2),
            recoveries: try await value(3) - before.2, lastSuccessAge: try await value(4))
    }

    /// Compares Prometheus' values with the outage.
    package var checks: [Check] {
        let (least, most) = (atLeast.fractionalMilliseconds / 1e3, atMost.fractionalMilliseconds / 1e3)
        func rounded(_ value: Double) -> Double { (value * 1_000).rounded() / 1_000 }
        return [
            Check(isKept: outages == 1, text: "daruma_db_outages_total rose by \(rounded(outages)) (1)"),
            Check(
                isKept: outageSeconds >= least - 0.5 && outageSeconds <= most,
                text: "daruma_db_outage_seconds_total rose by \(rounded(outageSeconds)) "
                    + "(the database was away for \(rounded(least)) to \(rounded(most)))"),
            Check(isKept: lowestUp == 0, text: "the lowest daruma_db_up was \(rounded(lowestUp)) (0)"),
            Check(
                isKept: recoveries == 1,
                text: "daruma_db_recovery_time_seconds counted \(rounded(recoveries)) recovery (1)"),
            Check(
                isKept: (-1...60).contains(lastSuccessAge),
                text: "the database's last reply was \(rounded(lastSuccessAge)) s ago"),
        ]
    }
}
