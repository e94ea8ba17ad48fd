/// A ``TimerHeap`` of indices for other modules: across modules the generic one would be looked up with every call.
package struct DeadlineHeap: Sendable {
    private var heap = TimerHeap<Int>()

    package init() {}

    /// The deadline that is due first, or `nil` when there is none.
    package var earliest: MonotonicTime? { heap.earliest }

    package mutating func insert(_ index: Int, at deadline: MonotonicTime) -> TimerID {
        heap.insert(index, at: deadline)
    }

    /// Takes the entry out; does nothing when it has been taken out or has come due already.
    package mutating func remove(_ id: TimerID) {
        heap.remove(id)
    }

    /// Takes the earliest entry out if its deadline is not after `now`.
    package mutating func popDue(at now: MonotonicTime) -> Int? {
        heap.popDue(at: now)
    }
}
