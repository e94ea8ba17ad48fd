import DispatchLoop

/// How many queries may be hedged – run a second time, on another session, while the first is silent (Dean and Barroso,
/// *The Tail at Scale*): a share of those begun in the last ten seconds, so that a database that slows down never gets
/// much more work because of it.
struct HedgeBudget: Sendable {
    /// One in so many.
    static let share = 20
    private static let buckets = 10

    /// Queries and hedges of the last seconds, by second modulo the number of buckets.
    private var queries = [Int32](repeating: 0, count: buckets)
    private var hedges = [Int32](repeating: 0, count: buckets)
    private var second: Int64 = 0

    /// A query begins.
    mutating func begin(at now: MonotonicTime) {
        let current = now.nanoseconds / 1_000_000_000
        if current != second { move(to: current) }
        queries[Int(truncatingIfNeeded: current) % Self.buckets] += 1
    }

    /// Whether one more hedge is allowed.
    mutating func allows(at now: MonotonicTime) -> Bool {
        move(to: now.nanoseconds / 1_000_000_000)
        return (hedges.reduce(0, +) + 1) * Int32(Self.share) <= queries.reduce(0, +)
    }

    /// Asks for a hedge, which is counted if it is allowed.
    mutating func take(at now: MonotonicTime) -> Bool {
        guard allows(at: now) else { return false }
        hedges[Int(truncatingIfNeeded: second) % Self.buckets] += 1
        return true
    }

    private mutating func move(to current: Int64) {
        guard current > second else { return }
        for passed in 0..<min(current - second, Int64(Self.buckets)) {
            let index = Int(truncatingIfNeeded: current - passed) % Self.buckets
            queries[index] = 0
            hedges[index] = 0
        }
        second = current
    }
}
