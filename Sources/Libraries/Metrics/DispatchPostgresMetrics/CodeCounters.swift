internal import CoreMetrics

/// Counters by error code. Bounded, because an SQLSTATE can be any five characters: beyond the limit all further codes
/// share one counter.
struct CodeCounters {
    /// The label of all further codes, as in OpenTelemetry's conventions.
    static let other = "_OTHER"
    private static let limit = 100

    private let make: (String) -> Counter
    private var counters: [String: Counter] = [:]

    init(_ make: @escaping (String) -> Counter) {
        self.make = make
    }

    mutating func increment(_ code: String) {
        self[code].increment()
    }

    /// Creates the counter at zero.
    mutating func prepare(_ code: String) {
        _ = self[code]
    }

    private subscript(code: String) -> Counter {
        mutating get {
            if let known = counters[code] { return known }
            let label = counters.count < Self.limit ? code : Self.other
            let counter = counters[label] ?? make(label)
            counters[label] = counter
            return counter
        }
    }
}
