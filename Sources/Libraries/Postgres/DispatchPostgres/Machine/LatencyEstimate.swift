import DispatchLoop

/// How long an operation usually takes: a smoothed mean and a smoothed deviation (RFC 6298 §2), from complete samples
/// only.
///
/// Each sample is the median of the last three, so that a single slow one (a lock, a `pg_sleep`) changes nothing, while
/// a database that has become slow is recognized after its second answer.
struct LatencyEstimate: Sendable, Hashable {
    /// Upper bound of a sample: one long-running report must not delay the detection of a dead network.
    static let ceiling = Duration.seconds(5).nanoseconds

    /// Nanoseconds, like everything here: the estimate is computed on each query.
    private(set) var mean: Int64 = 0
    private(set) var deviation: Int64 = 0
    private(set) var count = 0
    private var previous: Int64 = 0
    private var beforePrevious: Int64 = 0

    /// Adds a sample.
    mutating func add(nanoseconds sample: Int64) {
        guard sample >= 0 else { return }
        let sample = min(sample, Self.ceiling)
        count += 1
        defer { (beforePrevious, previous) = (previous, sample) }
        // The first two samples have no median of three: the lower one counts.
        let value =
            switch count {
            case 1: sample
            case 2: min(previous, sample)
            default: Self.median(beforePrevious, previous, sample)
            }
        if count <= 2 {
            mean = value
            deviation = value / 2
        } else {
            deviation += (abs(mean - value) - deviation) / 4
            mean += (value - mean) / 8
        }
    }

    /// The longest usual time: mean + 4 × deviation, at least `floor`.
    func limit(floor: Int64) -> Int64 {
        count == 0 ? floor : min(max(mean + 4 * deviation, floor), max(floor, Self.ceiling))
    }

    private static func median(_ a: Int64, _ b: Int64, _ c: Int64) -> Int64 { max(min(a, b), min(max(a, b), c)) }
}
