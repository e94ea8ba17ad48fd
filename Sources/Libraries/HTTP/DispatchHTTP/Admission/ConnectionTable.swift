@_spi(Containers) internal import DispatchLoop

/// The connections by slot. A slot is a small reusable number, so that other tables can be arrays.
@LoopActor
struct ConnectionTable {
    private var slots = SlotMap<Connection>()
    /// The most connections since the last `shrink`.
    private var peak = 0

    /// Below this many connections `shrink` is not worth its time.
    private static let trimThreshold = 512

    var count: Int { slots.count }

    /// The slot of the next connection.
    var nextSlot: Int { slots.nextIndex }

    /// The number of slots, used or free.
    var slotCount: Int { slots.capacity }

    subscript(_ slot: Int) -> Connection? { slots[at: slot] }

    var connections: [Connection] { slots.values }

    mutating func insert(_ connection: Connection) {
        _ = slots.insert(connection)
        peak = max(peak, count)
    }

    mutating func remove(_ slot: Int) { slots.remove(at: slot) }

    /// Whether there were many connections and at least half of them have closed.
    var shouldTrim: Bool { peak >= Self.trimThreshold && count <= peak / 2 }

    /// Drops the free slots at the end.
    mutating func shrink() {
        peak = count
        slots.shrink()
    }
}
