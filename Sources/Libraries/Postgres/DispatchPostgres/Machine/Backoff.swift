/// How long to wait after the nth failure in a row: 10 ms, doubling up to a cap, less some jitter.
struct Backoff: Sendable, Hashable {
    /// The wait after the first failure, without jitter.
    static let first = Duration.milliseconds(10)
    /// The longest wait. Below 300 ms, so that recovery is seen within that with nobody asking.
    static let cap = Duration.milliseconds(270)
    /// A wait is between this share of its full length and its full length. With the cap it comes to 4.1 connects a
    /// second, where at most five are allowed with nobody asking; full jitter down to a half would make 4.9 on average
    /// and six in a bad second.
    static let smallestShare = 0.8

    /// How many failures there have been in a row.
    private(set) var failures = 0

    /// Notes a failure; returns the wait that follows it.
    mutating func next(using random: inout some RandomNumberGenerator) -> Duration {
        let full = min(Self.first * (1 << min(failures, 10)), Self.cap)
        failures += 1
        return full * Double.random(in: Self.smallestShare...1, using: &random)
    }

    mutating func reset() { failures = 0 }
}
