/// The connections that can make room for others, by their slots, in the order in which they would: each queue has the
/// one that has been in it longest first. Every operation takes the same short time, and none allocates once the slots
/// exist: this happens with every request.
struct EvictionQueues {
    /// Where a connection can be; it is in one of them or in none.
    enum Name: UInt8, CaseIterable {
        /// It waits for its next request.
        case idle
        /// A part of a request's header is here.
        case head
        /// It is on a reserved place and has not said a whole request.
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

    /// The one that came into the queue of `slot` right after it.
    func next(after slot: Int) -> Int? {
        guard slot < links.count, links[slot].queue != nil, links[slot].next >= 0 else { return nil }
        return Int(links[slot].next)
    }

    /// Where `slot` is.
    func queue(of slot: Int) -> Name? { slot < links.count ? links[slot].queue : nil }

    /// Puts `slot` at the end of a queue, from wherever it is.
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

    /// Takes `slot` out, if it is in.
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

    /// Gives back the memory for slots from `count` on, none of which is in a queue.
    mutating func shrink(to count: Int) {
        if links.count > count { links = Array(links[..<count]) }
    }
}
