internal import DispatchLoop

/// The connections by their slots. A slot is a small number that is used again, so that what is known about a connection
/// elsewhere can be kept in arrays.
@LoopActor
struct ConnectionTable {
    private var slots: [Connection?] = []
    private var free: [Int32] = []
    /// The most connections since memory was given back last.
    private var peak = 0

    /// Below this many connections, what they leave behind is not worth looking for.
    private static let worthwhile = 512

    var count: Int { slots.count - free.count }

    /// The slot that the next connection gets.
    var nextSlot: Int { free.last.map(Int.init) ?? slots.count }

    /// The first slot that has never been used, or not since memory was given back.
    var nextFreshSlot: Int { slots.count }

    subscript(_ slot: Int) -> Connection? { slot < slots.count ? slots[slot] : nil }

    var connections: [Connection] { slots.compactMap { $0 } }

    mutating func insert(_ connection: Connection) {
        if free.popLast() != nil {
            slots[connection.slot] = connection
        } else {
            slots.append(connection)
        }
        peak = max(peak, count)
    }

    mutating func remove(_ slot: Int) {
        slots[slot] = nil
        free.append(Int32(truncatingIfNeeded: slot))
    }

    /// Whether there were many connections and at least half of them have gone.
    var shouldTrim: Bool { peak >= Self.worthwhile && count <= peak / 2 }

    /// Forgets the free slots at the end, and uses low ones first from now on, so that the next time more are at the end.
    mutating func shrink() {
        peak = count
        var end = slots.count
        while end > 0, slots[end - 1] == nil { end -= 1 }
        slots = slots[..<end].withUnsafeBufferPointer { Array($0) }
        free = free.filter { $0 < end }.sorted(by: >)
    }
}
