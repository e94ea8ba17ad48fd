import Testing

@_spi(Containers) @testable import DispatchLoop

@Suite struct SlotMapTests {
    @Test("an id finds its value until the removal, and never the slot's next value")
    func generations() {
        var map = SlotMap<String>()
        let first = map.insert("a")
        #expect(map[first] == "a")
        map.update(first) { $0 = "b" }
        let removed = map.remove(first)
        #expect(removed == "b")
        #expect(map[first] == nil)
        #expect(map.nextIndex == 0)
        let second = map.insert("c")
        #expect(SlotMap<String>.index(of: second) == SlotMap<String>.index(of: first))
        map.update(first) { $0 = "d" }
        let removedAgain = map.remove(first)
        #expect(removedAgain == nil)
        #expect(map[second] == "c" && map[at: 0] == "c" && map.values == ["c"])
    }

    @Test("no id is 0, also after the last serial of the first slot")
    func wraps() {
        var map = SlotMap<Int>(firstSerial: SlotMap<Int>.lastSerial)
        let last = map.insert(1)
        #expect(last > 0)
        map.remove(last)
        let next = map.insert(2)
        #expect(next != 0, "the event loop takes token 0 for its timer")
        #expect(next != last)
        #expect(map[next] == 2 && map[last] == nil)
    }

    @Test("shrinking frees the slots of a peak, and no earlier id finds a later value")
    func shrinks() {
        var map = SlotMap<Int>()
        var before: [Int] = []
        for number in 0..<1000 { before.append(map.insert(number)) }
        for id in before[10...] { map.remove(id) }
        map.shrink()
        #expect(map.capacity == 10)
        #expect(map.count == 10)
        var after: [Int] = []
        for number in 1000..<2000 { after.append(map.insert(number)) }
        for id in before[10...] {
            #expect(map[id] == nil)
            map.remove(id)
        }
        #expect(map.count == 1010)
        #expect(map[before[3]] == 3)
        #expect(map[after[999]] == 1999)
        #expect(map.capacity == 1010)
    }

    @Test("a map behaves as a dictionary does under random insertions, removals and shrinking", arguments: 0..<10)
    func random(seed: Int) {
        var generator = SplitMix64(seed: UInt64(seed))
        var map = SlotMap<Int>()
        var model: [Int: Int] = [:]
        var ended: [Int] = []
        for step in 0..<2_000 {
            switch generator.next() % 16 {
            case 0...7:
                let id = map.insert(step)
                #expect(model.updateValue(step, forKey: id) == nil, "seed \(seed), step \(step)")
            case 15: map.shrink()
            default:
                guard let id = model.keys.sorted().randomElement(using: &generator) else { continue }
                let removed = map.remove(id)
                #expect(removed == model.removeValue(forKey: id), "seed \(seed), step \(step)")
                ended.append(id)
            }
            #expect(map.count == model.count, "seed \(seed), step \(step)")
        }
        for (id, value) in model { #expect(map[id] == value, "seed \(seed)") }
        for id in ended { #expect(map[id] == nil, "seed \(seed)") }
    }
}
