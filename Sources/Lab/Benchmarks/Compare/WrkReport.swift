/// The output of `wrk --latency`.
package struct WrkReport: Sendable, Equatable {
    package let requests: Int
    package let perSecond: Double
    /// In milliseconds.
    package let p50: Double
    /// In milliseconds.
    package let p99: Double
    /// Answers other than 2xx or 3xx, and failed connections.
    package let failures: Int

    /// Nil if the output is incomplete.
    package init?(_ text: String) {
        var requests: Int?
        var perSecond: Double?
        var latency: [Substring: Double] = [:]
        var failures = 0
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ")
            guard let first = words.first else { continue }
            if words.count == 2, first.hasSuffix("%") {
                latency[first] = Self.milliseconds(words[1])
            } else if words.count > 2, words[1] == "requests", words[2] == "in" {
                requests = Int(first)
            } else if first == "Requests/sec:" {
                perSecond = words.last.flatMap { Double($0) }
            } else if line.contains("Non-2xx") || line.contains("Socket errors") {
                // Socket errors: connect 0, read 0, write 0, timeout 3
                failures += line.split { !$0.isNumber }.dropFirst(line.contains("Non-2xx") ? 2 : 0)
                    .reduce(0) { $0 + (Int($1) ?? 0) }
            }
        }
        guard let requests, let perSecond, let p50 = latency["50%"], let p99 = latency["99%"] else { return nil }
        self.requests = requests
        self.perSecond = perSecond
        self.p50 = p50
        self.p99 = p99
        self.failures = failures
    }

    /// Reads `338.00us`, `1.97ms`, `1.20s`.
    private static func milliseconds(_ text: Substring) -> Double? {
        for (unit, factor) in [("us", 0.001), ("ms", 1), ("s", 1000)] where text.hasSuffix(unit) {
            return Double(text.dropLast(unit.count)).map { $0 * factor }
        }
        return nil
    }
}
