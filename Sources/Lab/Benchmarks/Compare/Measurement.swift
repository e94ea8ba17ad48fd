/// One contender under one load, once.
package struct Measurement: Sendable {
    package var requestsPerSecond: Double
    /// Milliseconds; nil where the load generator does not say.
    package var p50: Double?
    /// Milliseconds.
    package var p99: Double?
    /// Of the server's processes; nil where there is none (pgbench).
    package var processorMicroseconds: Double?
    /// Of PostgreSQL's processes.
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

    /// The median of each figure by itself. A run that a neighbour disturbed does not count.
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

/// The middle one, or the mean of the middle two; nil of nothing.
package func median(_ values: [Double]) -> Double? {
    guard !values.isEmpty else { return nil }
    let sorted = values.sorted()
    let middle = sorted.count / 2
    return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}
