internal import DispatchLoop

/// Durations counted in buckets that are an eighth of their size wide: what a median needs, in a fixed kilobyte, however
/// many durations there are.
struct LatencyHistogram: Sendable {
    /// Up to 2²⁷ µs, some two minutes; what takes longer counts as that.
    private static let bucketCount = 200

    private var counts = [UInt32](repeating: 0, count: bucketCount)
    /// How many durations were counted.
    private(set) var total = 0

    /// Counts a duration.
    mutating func add(microseconds: Int) {
        counts[Self.bucket(of: microseconds)] += 1
        total += 1
    }

    /// The middle one of the durations, in microseconds, no more than a sixteenth beside the truth; 0 when there are none.
    var median: Int {
        var left = (total + 1) / 2
        for (bucket, count) in counts.enumerated() where count > 0 {
            left -= Int(count)
            if left <= 0 { return (Self.lowerBound(of: bucket) + Self.lowerBound(of: bucket + 1)) / 2 }
        }
        return 0
    }

    /// Forgets everything and keeps the memory.
    mutating func reset() {
        guard total > 0 else { return }
        for bucket in counts.indices { counts[bucket] = 0 }
        total = 0
    }

    /// Below 8 each number has its bucket; above, the highest bit and the three below it are the bucket.
    static func bucket(of value: Int) -> Int {
        guard value >= 8 else { return max(value, 0) }
        let exponent = Int.bitWidth - 1 - value.leadingZeroBitCount
        return min((exponent - 2) * 8 + (value >> (exponent - 3)) & 7, bucketCount - 1)
    }

    /// The least value that belongs to a bucket.
    static func lowerBound(of bucket: Int) -> Int {
        bucket < 8 ? bucket : (8 + bucket % 8) << (bucket / 8 - 1)
    }
}
