internal import DispatchLoop

/// Counts durations in buckets whose width is an eighth of their value: a median in one kilobyte, for any number of
/// durations.
struct LatencyHistogram: Sendable {
    /// Up to 2²⁷ µs, about two minutes. The last bucket also counts longer durations.
    private static let bucketCount = 200

    private var counts = [UInt32](repeating: 0, count: bucketCount)
    /// The number of durations.
    private(set) var total = 0

    mutating func add(microseconds: Int) {
        counts[Self.bucket(of: microseconds)] += 1
        total += 1
    }

    /// The median in microseconds, with an error of at most a sixteenth; 0 without durations.
    var median: Int {
        var left = (total + 1) / 2
        for (bucket, count) in counts.enumerated() where count > 0 {
            left -= Int(count)
            if left <= 0 { return (Self.lowerBound(of: bucket) + Self.lowerBound(of: bucket + 1)) / 2 }
        }
        return 0
    }

    /// Removes all durations and keeps the memory.
    mutating func reset() {
        guard total > 0 else { return }
        for bucket in counts.indices { counts[bucket] = 0 }
        total = 0
    }

    /// Each number below 8 has its own bucket; above, the four highest bits select the bucket.
    static func bucket(of value: Int) -> Int {
        guard value >= 8 else { return max(value, 0) }
        let exponent = Int.bitWidth - 1 - value.leadingZeroBitCount
        return min((exponent - 2) * 8 + (value >> (exponent - 3)) & 7, bucketCount - 1)
    }

    /// The minimum of a bucket.
    static func lowerBound(of bucket: Int) -> Int {
        bucket < 8 ? bucket : (8 + bucket % 8) << (bucket / 8 - 1)
    }
}
