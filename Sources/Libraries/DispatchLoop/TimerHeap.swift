/// Names one entry of a `TimerHeap`. A spent or removed entry's name is never valid again.
public struct TimerID: Hashable, Sendable {
    let index: UInt32
    let serial: UInt32
}

/// Deadlines in order: a binary heap whose entries know where they are, so that one can be taken out again.
///
/// Nearly every deadline is cancelled before it is due (the answer came), so removal must not leave a corpse behind:
/// 40,000 requests a second with a deadline of one second would hold 40,000 of them. Insertion of a deadline later
/// than all others, the usual case, costs one comparison; everything else is O(log n).
///
/// Entries with the same deadline come out in the order in which they went in.
package struct TimerHeap<Payload> {
    fileprivate struct Slot {
        var serial: UInt32
        /// Where the entry is in `heap`; meaningless while the slot is free.
        var position: Int
        var payload: Payload?
    }

    private struct Node {
        let deadline: MonotonicTime
        let order: UInt64
        let slot: UInt32

        func isBefore(_ other: Node) -> Bool {
            deadline == other.deadline ? order < other.order : deadline < other.deadline
        }
    }

    private var heap: [Node] = []
    private var slots: [Slot] = []
    private var freeSlots: [UInt32] = []
    private var nextOrder: UInt64 = 0
    /// The serial of a slot's first entry: above those of slots that have been forgotten, so that no name comes back.
    private var firstSerial: UInt32 = 0

    package init() {}

    package var count: Int { heap.count }

    /// The deadline that is due first, or `nil` when there is none.
    package var earliest: MonotonicTime? { heap.first?.deadline }

    package mutating func insert(_ payload: Payload, at deadline: MonotonicTime) -> TimerID {
        let slot: UInt32
        if let free = freeSlots.popLast() {
            slot = free
            slots[Int(slot)].payload = payload
        } else {
            slot = UInt32(slots.count)
            slots.append(Slot(serial: firstSerial, position: 0, payload: payload))
        }
        heap.append(Node(deadline: deadline, order: nextOrder, slot: slot))
        nextOrder += 1
        slots[Int(slot)].position = heap.count - 1
        siftUp(heap.count - 1)
        return TimerID(index: slot, serial: slots[Int(slot)].serial)
    }

    /// Takes the entry out and returns it; `nil` when it has been taken out or has come due already.
    @discardableResult
    package mutating func remove(_ id: TimerID) -> Payload? {
        guard Int(id.index) < slots.count, slots[Int(id.index)].serial == id.serial else { return nil }
        guard slots[Int(id.index)].payload != nil else { return nil }
        return takeOut(at: slots[Int(id.index)].position)
    }

    /// A mark between the entries so far and those to come.
    package var insertionCutoff: UInt64 { nextOrder }

    /// Takes the earliest entry out if its deadline is not after `now` and it went in before `mark`.
    package mutating func popDue(at now: MonotonicTime, before mark: UInt64 = .max) -> Payload? {
        guard let first = heap.first, first.deadline <= now, first.order < mark else { return nil }
        return takeOut(at: 0)
    }

    /// Gives back memory that a peak has left behind.
    package mutating func shrink() {
        var end = slots.count
        while end > 0, slots[end - 1].payload == nil {
            firstSerial = max(firstSerial, slots[end - 1].serial)
            end -= 1
        }
        slots = slots[..<end].withUnsafeBufferPointer { Array($0) }
        // Low slots are used first from now on, so that the next time more are free at the end.
        freeSlots = freeSlots.filter { $0 < end }.sorted(by: >)
        heap = heap.withUnsafeBufferPointer { Array($0) }
    }

    /// How many slots there are, taken or free.
    package var slotCount: Int { slots.count }

    private mutating func takeOut(at position: Int) -> Payload? {
        let slot = Int(heap[position].slot)
        let last = heap.removeLast()
        if position < heap.count {
            heap[position] = last
            slots[Int(last.slot)].position = position
            if position > 0, last.isBefore(heap[(position - 1) / 2]) {
                siftUp(position)
            } else {
                siftDown(position)
            }
        }
        let payload = slots[slot].payload
        slots[slot].payload = nil
        slots[slot].serial &+= 1
        freeSlots.append(UInt32(slot))
        return payload
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
        slots[Int(node.slot)].position = position
    }
}

extension TimerHeap: Sendable where Payload: Sendable {}
extension TimerHeap.Slot: Sendable where Payload: Sendable {}
