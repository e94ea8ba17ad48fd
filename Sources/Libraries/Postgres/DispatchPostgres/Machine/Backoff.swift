/// Exponential backoff with jitter: the wait after the nth failure in a row doubles from 10 ms up to a cap, less up to
/// a fifth at random. ("Full jitter" would draw from the whole range: Brooker, "Exponential Backoff And Jitter", 2015.)
struct Backoff: Sendable, Hashable {
    /// The wait after the first failure, without jitter.
    static let first = Duration.milliseconds(10)
    /// The longest wait. Below 300 ms, so that the pool notices recovery within that time without any request.
    static let cap = Duration.milliseconds(270)
    /// The smallest share of the full wait. With the cap it gives 4.1 connects per second, where five are allowed
    /// without requests; a smallest share of a half would give 4.9 on average and six in a bad second.
    static let smallestShare = 0.8

    /// The number of failures in a row.
    private(set) var failures = 0

    /// Counts a failure and returns the wait after it.
    mutating func next(using random: inout some RandomNumberGenerator) -> Duration {
        let full = min(Self.first * (1 << min(failures, 10)), Self.cap)
        failures += 1
        return full * Double.random(in: Self.smallestShare...1, using: &random)
    }

    mutating func reset() { failures = 0 }
}
