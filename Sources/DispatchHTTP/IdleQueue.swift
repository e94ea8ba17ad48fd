/// The idle connections by their slots, the one that has been idle longest first. Every operation takes the same short
/// time, and none allocates once the slots exist: this happens with every request.
struct IdleQueue {
    private struct Link {
        var previous: Int32 = -1
        var next: Int32 = -1
        var isIn = false
    }

    private var links: [Link] = []
    private var first: Int32 = -1
    private var last: Int32 = -1
    private(set) var count = 0

    /// The slot that has been idle longest.
    var oldest: Int? { first < 0 ? nil : Int(first) }

    func contains(_ slot: Int) -> Bool { slot < links.count && links[slot].isIn }

    /// Puts `slot` at the end, from wherever it is.
    mutating func append(_ slot: Int) {
        let index = Int32(truncatingIfNeeded: slot)
        if last == index { return }
        remove(slot)
        while links.count <= slot { links.append(Link()) }
        links[slot] = Link(previous: last, next: -1, isIn: true)
        if last >= 0 { links[Int(last)].next = index } else { first = index }
        last = index
        count += 1
    }

    /// Takes `slot` out, if it is in.
    mutating func remove(_ slot: Int) {
        guard contains(slot) else { return }
        let link = links[slot]
        if link.previous >= 0 { links[Int(link.previous)].next = link.next } else { first = link.next }
        if link.next >= 0 { links[Int(link.next)].previous = link.previous } else { last = link.previous }
        links[slot] = Link()
        count -= 1
    }
}
