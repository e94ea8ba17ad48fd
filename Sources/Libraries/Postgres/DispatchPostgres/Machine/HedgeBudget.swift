import DispatchLoop

/// The budget for hedged queries (``HedgedQuery``): a share of the queries begun in the last ten seconds, so that
/// hedging never adds much work to a database that slows down.
struct HedgeBudget: Sendable {
    /// One hedge per this many queries.
    static let share = 20
    private static let buckets = 10

    /// Queries and hedges of the last seconds, by second modulo the number of buckets. Queries of this second are in
    /// `current`, the cheapest place to count each query.
    private var queries = [Int32](repeating: 0, count: buckets)
    private var hedges = [Int32](repeating: 0, count: buckets)
    private var current: Int32 = 0
    private var second: Int64 = 0
    private var secondEnds = MonotonicTime(nanoseconds: .min)

    /// A query begins.
    mutating func begin(at now: MonotonicTime) {
        if now >= secondEnds { move(to: now) }
        current &+= 1
    }

    /// Whether one more hedge is allowed.
    mutating func allows(at now: MonotonicTime) -> Bool {
        if now >= secondEnds { move(to: now) }
        return (hedges.reduce(0, +) + 1) * Int32(Self.share) <= queries.reduce(current, +)
    }

    /// Counts a hedge if it is allowed; returns whether it is.
    mutating func take(at now: MonotonicTime) -> Bool {
        guard allows(at: now) else { return false }
        hedges[Int(truncatingIfNeeded: second) % Self.buckets] += 1
        return true
    }

    private mutating func move(to now: MonotonicTime) {
        let next = now.nanoseconds / 1_000_000_000
        queries[Int(truncatingIfNeeded: second) % Self.buckets] = current
        current = 0
        for passed in 0..<min(next - second, Int64(Self.buckets)) {
            let index = Int(truncatingIfNeeded: next - passed) % Self.buckets
            queries[index] = 0
            hedges[index] = 0
        }
        second = next
        secondEnds = MonotonicTime(nanoseconds: (next + 1) * 1_000_000_000)
    }
}
