/// The id of one entry of a `TimerHeap`. It ends when the entry comes due or is removed.
public struct TimerID: Hashable, Sendable {
    let id: Int

    init(id: Int) { self.id = id }
}

/// A binary heap of deadlines whose entries know their positions, so that an id can remove its entry.
///
/// Nearly every deadline is cancelled, because the answer arrives first. So a removal leaves nothing behind: 40,000
/// requests a second with a deadline of one second would otherwise leave 40,000 dead entries. Inserting a deadline
/// later than all others, the usual case, costs one comparison; everything else is O(log n).
///
/// Entries with equal deadlines come out in the order of insertion.
struct TimerHeap<Payload> {
    struct Entry {
        /// The index of the entry's node in `heap`.
        var position: Int
        let payload: Payload
    }

    struct Node: Sendable {
        let deadline: MonotonicTime
        let order: UInt64
        let slot: Int

        func isBefore(_ other: Node) -> Bool {
            deadline == other.deadline ? order < other.order : deadline < other.deadline
        }
    }

    private var heap: [Node] = []
    private var entries = SlotMap<Entry>()
    private var nextOrder: UInt64 = 0

    /// Creates an empty heap.
    init() {}

    /// The number of entries.
    var count: Int { heap.count }

    /// The earliest deadline, or `nil` if the heap is empty.
    var earliest: MonotonicTime? { heap.first?.deadline }

    /// Adds an entry.
    mutating func insert(_ payload: Payload, at deadline: MonotonicTime) -> TimerID {
        let id = entries.insert(Entry(position: heap.count, payload: payload))
        heap.append(Node(deadline: deadline, order: nextOrder, slot: SlotMap<Entry>.index(of: id)))
        nextOrder += 1
        siftUp(heap.count - 1)
        return TimerID(id: id)
    }

    /// Removes the entry and returns its payload; returns `nil` if it has come due or has been removed.
    @discardableResult
    mutating func remove(_ id: TimerID) -> Payload? {
        guard let position = entries[id.id]?.position else { return nil }
        return takeOut(at: position)
    }

    /// Separates the existing entries from later ones.
    var insertionCutoff: UInt64 { nextOrder }

    /// Removes the earliest entry if its deadline is not after `now` and it was inserted before `cutoff`.
    mutating func popDue(at now: MonotonicTime, before cutoff: UInt64 = .max) -> Payload? {
        guard let first = heap.first, first.deadline <= now, first.order < cutoff else { return nil }
        return takeOut(at: 0)
    }

    /// Frees memory that a peak has left behind.
    mutating func shrink() {
        entries.shrink()
        heap = heap.withUnsafeBufferPointer { Array($0) }
    }

    /// The number of slots, used or free.
    var slotCount: Int { entries.capacity }

    private mutating func takeOut(at position: Int) -> Payload? {
        let slot = heap[position].slot
        let last = heap.removeLast()
        if position < heap.count {
            move(last, to: position)
            if position > 0, last.isBefore(heap[(position - 1) / 2]) {
                siftUp(position)
            } else {
                siftDown(position)
            }
        }
        return entries.remove(at: slot)?.payload
    }

    private mutating func siftUp(_ start: Int) {
        var position = start
        let node = heap[position]
        while position > 0 {
            let parent = (position - 1) / 2
            guard node.isBefore(heap[parent]) else { break }
            move(heap[parent], to: position)
            position = parent
        }
        move(node, to: position)
    }

    private mutating func siftDown(_ start: Int) {
        var position = start
        let node = heap[position]
        while true {
            var child = 2 * position + 1
            guard child < heap.count else { break }
            if child + 1 < heap.count, heap[child + 1].isBefore(heap[child]) { child += 1 }
            guard heap[child].isBefore(node) else { break }
            move(heap[child], to: position)
            position = child
        }
        move(node, to: position)
    }

    private mutating func move(_ node: Node, to position: Int) {
        heap[position] = node
        entries.update(at: node.slot) { $0?.position = position }
    }
}

extension TimerHeap: Sendable where Payload: Sendable {}
extension TimerHeap.Entry: Sendable where Payload: Sendable {}
