import DispatchLoop

/// Identifies a waiter. Never valid again once the waiter is settled.
struct WaiterID: Hashable, Sendable {
    let index: Int
    let serial: UInt32
}

/// The requests that wait for a connection, in FIFO order.
///
/// A linked list within an array: enqueuing, dequeuing and removing from the middle (a deadline, a cancelled task) take
/// constant time, plus O(log n) in the heap of deadlines.
struct WaiterQueue {
    private struct Node {
        var serial: UInt32 = 0
        var previous = -1
        var next = -1
        var isWaiting = false
        var deadline: TimerID?
    }

    private var nodes: [Node] = []
    private var free: [Int] = []
    /// Indices of removed waiters that may not have been notified yet; ``recycle()`` frees them afterwards.
    private var retired: [Int] = []
    private var deadlines = DeadlineHeap()
    private var first = -1
    private var last = -1
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// The earliest deadline of all waiters.
    var earliestDeadline: MonotonicTime { deadlines.earliest ?? .distantFuture }

    mutating func enqueue(deadline: MonotonicTime = .distantFuture) -> WaiterID {
        let index: Int
        if let reused = free.popLast() {
            index = reused
        } else {
            index = nodes.count
            nodes.append(Node())
        }
        nodes[index].previous = last
        nodes[index].next = -1
        nodes[index].isWaiting = true
        nodes[index].deadline = deadline == .distantFuture ? nil : deadlines.insert(index, at: deadline)
        if last >= 0 { nodes[last].next = index } else { first = index }
        last = index
        count += 1
        return WaiterID(index: index, serial: nodes[index].serial)
    }

    /// Removes the waiter that has waited longest.
    mutating func dequeue() -> WaiterID? {
        guard first >= 0 else { return nil }
        let id = WaiterID(index: first, serial: nodes[first].serial)
        _ = remove(id)
        return id
    }

    /// Removes a waiter whose deadline has passed, the earliest deadline first.
    mutating func dequeueExpired(at now: MonotonicTime) -> WaiterID? {
        guard let index = deadlines.popDue(at: now) else { return nil }
        let id = WaiterID(index: index, serial: nodes[index].serial)
        nodes[index].deadline = nil
        _ = remove(id)
        return id
    }

    /// Removes a waiter; `false` when it is settled already.
    mutating func remove(_ id: WaiterID) -> Bool {
        guard contains(id) else { return false }
        let node = nodes[id.index]
        if node.previous >= 0 { nodes[node.previous].next = node.next } else { first = node.next }
        if node.next >= 0 { nodes[node.next].previous = node.previous } else { last = node.previous }
        if let deadline = node.deadline { deadlines.remove(deadline) }
        nodes[id.index].isWaiting = false
        nodes[id.index].serial &+= 1
        retired.append(id.index)
        count -= 1
        return true
    }

    /// All removed waiters have been notified.
    mutating func recycle() {
        guard !retired.isEmpty else { return }
        free.append(contentsOf: retired)
        retired.removeAll(keepingCapacity: true)
    }

    func contains(_ id: WaiterID) -> Bool {
        id.index < nodes.count && nodes[id.index].serial == id.serial && nodes[id.index].isWaiting
    }
}
