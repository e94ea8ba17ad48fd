/// The connections that can be evicted, by slot. Each queue starts with the connection that has been in it longest.
/// Every operation is O(1) and allocates nothing once the slots exist, because each request performs several.
struct EvictionQueues {
    /// The queues. A connection is in at most one.
    enum Name: UInt8, CaseIterable {
        /// The connection waits for its next request.
        case idle
        /// A part of a request's header has arrived.
        case head
        /// The connection has a reserved place and has not sent a whole request.
        case reserved
    }

    private struct Link {
        var previous: Int32 = -1
        var next: Int32 = -1
        var queue: Name?
    }

    private struct Ends {
        var first: Int32 = -1
        var last: Int32 = -1
        var count = 0
    }

    private var links: [Link] = []
    private var idle = Ends()
    private var head = Ends()
    private var reserved = Ends()

    private subscript(_ name: Name) -> Ends {
        get {
            switch name {
            case .idle: idle
            case .head: head
            case .reserved: reserved
            }
        }
        set {
            switch name {
            case .idle: idle = newValue
            case .head: head = newValue
            case .reserved: reserved = newValue
            }
        }
    }

    func count(_ name: Name) -> Int { self[name].count }

    /// The slot that has been in the queue longest.
    func oldest(_ name: Name) -> Int? {
        let first = self[name].first
        return first < 0 ? nil : Int(first)
    }

    /// The successor of `slot` in its queue.
    func next(after slot: Int) -> Int? {
        guard slot < links.count, links[slot].queue != nil, links[slot].next >= 0 else { return nil }
        return Int(links[slot].next)
    }

    /// The queue that contains `slot`.
    func queue(of slot: Int) -> Name? { slot < links.count ? links[slot].queue : nil }

    /// Moves `slot` to the end of a queue.
    mutating func append(_ slot: Int, to name: Name) {
        let index = Int32(truncatingIfNeeded: slot)
        if self[name].last == index { return }
        remove(slot)
        while links.count <= slot { links.append(Link()) }
        var ends = self[name]
        links[slot] = Link(previous: ends.last, next: -1, queue: name)
        if ends.last >= 0 { links[Int(ends.last)].next = index } else { ends.first = index }
        ends.last = index
        ends.count += 1
        self[name] = ends
    }

    /// Removes `slot` from its queue.
    mutating func remove(_ slot: Int) {
        guard let name = queue(of: slot) else { return }
        let link = links[slot]
        var ends = self[name]
        if link.previous >= 0 { links[Int(link.previous)].next = link.next } else { ends.first = link.next }
        if link.next >= 0 { links[Int(link.next)].previous = link.previous } else { ends.last = link.previous }
        links[slot] = Link()
        ends.count -= 1
        self[name] = ends
    }

    /// Frees the memory of slots from `count` on, none of which may be in a queue.
    mutating func shrink(to count: Int) {
        if links.count > count { links = Array(links[..<count]) }
    }
}
