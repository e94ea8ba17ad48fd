/// One target under one load, measured once.
package struct Measurement: Sendable {
    package var requestsPerSecond: Double
    /// In milliseconds; nil if the load generator does not report it.
    package var p50: Double?
    /// In milliseconds.
    package var p99: Double?
    /// Per request, of the server's processes; nil without a server (pgbench).
    package var processorMicroseconds: Double?
    /// Per request, of PostgreSQL's processes.
    package var databaseMicroseconds: Double?
    package var residentMiB: Double?
    package var failures: Int

    package init(
        requestsPerSecond: Double, p50: Double? = nil, p99: Double? = nil, processorMicroseconds: Double? = nil,
        databaseMicroseconds: Double? = nil, residentMiB: Double? = nil, failures: Int = 0
    ) {
        self.requestsPerSecond = requestsPerSecond
        self.p50 = p50
        self.p99 = p99
        self.processorMicroseconds = processorMicroseconds
        self.databaseMicroseconds = databaseMicroseconds
        self.residentMiB = residentMiB
        self.failures = failures
    }

    /// The median of each figure, which ignores single disturbed runs.
    package static func median(_ all: [Measurement]) -> Measurement? {
        guard !all.isEmpty else { return nil }
        func middle(_ figure: (Measurement) -> Double?) -> Double? { Benchmarks.median(all.compactMap(figure)) }
        return Measurement(
            requestsPerSecond: middle(\.requestsPerSecond) ?? 0, p50: middle(\.p50), p99: middle(\.p99),
            processorMicroseconds: middle(\.processorMicroseconds),
            databaseMicroseconds: middle(\.databaseMicroseconds),
            residentMiB: middle(\.residentMiB), failures: all.reduce(0) { $0 + $1.failures })
    }
}

/// The middle value, or the mean of the middle two; nil without values.
package func median(_ values: [Double]) -> Double? {
    guard !values.isEmpty else { return nil }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
