import Testing

@_spi(Containers) @testable import DispatchLoop

private func at(_ nanoseconds: Int64) -> MonotonicTime { MonotonicTime(nanoseconds: nanoseconds) }

@Suite struct TimerHeapTests {
    @Test("an empty heap has no earliest deadline and nothing due")
    func empty() {
        var heap = TimerHeap<Int>()
        #expect(heap.earliest == nil)
        #expect(heap.popDue(at: .distantFuture) == nil)
    }

    @Test("entries come out by deadline, and by insertion where deadlines are equal")
    func order() {
        var heap = TimerHeap<String>()
        _ = heap.insert("c", at: at(30))
        _ = heap.insert("a1", at: at(10))
        _ = heap.insert("b", at: at(20))
        _ = heap.insert("a2", at: at(10))
        var seen: [String] = []
        while let next = heap.popDue(at: at(100)) { seen.append(next) }
        #expect(seen == ["a1", "a2", "b", "c"])
    }

    @Test("an entry is due at its deadline, not a nanosecond before")
    func due() {
        var heap = TimerHeap<Int>()
        _ = heap.insert(1, at: at(10))
        #expect(heap.popDue(at: at(9)) == nil)
        #expect(heap.popDue(at: at(10)) == 1)
    }

    @Test("an entry inserted after the cutoff is not due before the cutoff, however late it is")
    func cutoff() {
        var heap = TimerHeap<Int>()
        _ = heap.insert(1, at: at(10))
        let cutoff = heap.insertionCutoff
        _ = heap.insert(2, at: at(5))
        #expect(heap.popDue(at: at(10), before: cutoff) == nil)
        #expect(heap.popDue(at: at(10)) == 2)
        #expect(heap.popDue(at: at(10), before: cutoff) == 1)
    }

    @Test("a removed entry never comes out, and its id does not affect the slot's next entry")
    func removal() {
        var heap = TimerHeap<Int>()
        let first = heap.insert(1, at: at(10))
        #expect(heap.remove(first) == 1)
        let second = heap.insert(2, at: at(10))
        #expect(first != second)
        #expect(heap.remove(first) == nil)
        #expect(heap.popDue(at: at(10)) == 2)
        #expect(heap.remove(second) == nil)
        #expect(heap.count == 0)
    }

    @Test("shrinking frees the slots of a peak, and no earlier id matches a later entry")
    func shrinks() {
        var heap = TimerHeap<Int>()
        var ids: [TimerID] = []
        for number in 0..<1000 { ids.append(heap.insert(number, at: at(Int64(number)))) }
        for id in ids[10...] { heap.remove(id) }
        heap.shrink()
        #expect(heap.slotCount == 10)
        #expect(heap.count == 10)
        var later: [TimerID] = []
        for number in 1000..<2000 { later.append(heap.insert(number, at: at(Int64(1000 + number)))) }
        for id in ids[10...] { heap.remove(id) }
        #expect(heap.count == 1010)
        let (early, late) = (heap.remove(ids[3]), heap.remove(later[999]))
        #expect(early == 3)
        #expect(late == 1999)
        #expect(heap.count == 1008)
    }

    @Test("a heap behaves as a sorted list does under random insertions, removals and expiries", arguments: 0..<20)
    func random(seed: Int) {
        var generator = SplitMix64(seed: UInt64(seed))
        var heap = TimerHeap<Int>()
        var model: [(deadline: Int64, order: Int, id: TimerID)] = []
        var order = 0
        for step in 0..<2_000 {
            switch generator.next() % 4 {
            case 0, 1:
                let deadline = Int64(generator.next() % 500)
                model.append((deadline, order, heap.insert(order, at: at(deadline))))
                order += 1
            case 2 where !model.isEmpty:
                let victim = model.remove(at: Int(generator.next() % UInt64(model.count)))
                #expect(heap.remove(victim.id) == victim.order, "seed \(seed), step \(step)")
            default:
                let now = Int64(generator.next() % 500)
                let expected = model.filter { $0.deadline <= now }.min {
                    ($0.deadline, $0.order) < ($1.deadline, $1.order)
                }
                model.removeAll { $0.order == expected?.order }
                #expect(heap.popDue(at: at(now)) == expected?.order, "seed \(seed), step \(step)")
            }
            #expect(heap.count == model.count, "seed \(seed), step \(step)")
            #expect(heap.earliest?.nanoseconds == model.map(\.deadline).min(), "seed \(seed), step \(step)")
        }
    }
}
