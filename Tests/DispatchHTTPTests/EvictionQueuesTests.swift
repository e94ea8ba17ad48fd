import DispatchLoop
import Testing

@testable import DispatchHTTP

@Suite("eviction queues")
struct EvictionQueuesTests {
    @Test("the oldest of a queue is its longest member")
    func order() {
        var queues = EvictionQueues()
        #expect(queues.oldest(.idle) == nil)
        for slot in [3, 0, 7] { queues.append(slot, to: .idle) }
        queues.append(5, to: .head)
        #expect(queues.oldest(.idle) == 3)
        #expect(queues.next(after: 3) == 0)
        #expect(queues.next(after: 7) == nil)
        #expect(queues.next(after: 99) == nil)
        queues.append(3, to: .idle)
        #expect(queues.oldest(.idle) == 0)
        queues.append(0, to: .head)
        #expect(queues.oldest(.idle) == 7)
        #expect(queues.oldest(.head) == 5)
        queues.remove(5)
        queues.remove(5)
        queues.remove(99)
        #expect(queues.oldest(.head) == 0)
        #expect(queues.count(.idle) == 2)
        #expect(queues.count(.head) == 1)
        #expect(queues.count(.reserved) == 0)
    }

    @Test("the queues behave like arrays")
    func model() {
        let seed = UInt64.random(in: .min ... .max)
        var generator = SplitMix64(seed: seed)
        var queues = EvictionQueues()
        var model: [EvictionQueues.Name: [Int]] = [:]
        for _ in 0..<20_000 {
            let slot = Int(generator.next() % 20)
            for name in EvictionQueues.Name.allCases { model[name, default: []].removeAll { $0 == slot } }
            let name = EvictionQueues.Name(rawValue: UInt8(generator.next() % 4))
            if let name {
                queues.append(slot, to: name)
                model[name]?.append(slot)
            } else {
                queues.remove(slot)
            }
            #expect(queues.queue(of: slot) == name, "seed \(seed)")
            for name in EvictionQueues.Name.allCases {
                var listed: [Int] = []
                var next = queues.oldest(name)
                while let slot = next {
                    listed.append(slot)
                    next = queues.next(after: slot)
                }
                #expect(listed == model[name] && queues.count(name) == listed.count, "seed \(seed)")
            }
        }
    }

    @Test("the memory of free slots is released, and the slots can be used again")
    func shrinks() {
        var queues = EvictionQueues()
        for slot in 0..<100 { queues.append(slot, to: .idle) }
        for slot in 10..<100 { queues.remove(slot) }
        queues.shrink(to: 10)
        #expect(queues.queue(of: 50) == nil)
        queues.append(50, to: .head)
        #expect(queues.oldest(.head) == 50)
        #expect(queues.count(.idle) == 10)
    }
}

@Suite("connection quotas")
struct ConnectionQuotaTests {
    @Test("each kind has its limit, and a reserved connection moves to a free general place")
    func kinds() {
        var quota = ConnectionQuota(general: 2, reserved: 1)
        quota.take(.general)
        #expect(quota.isFree(.general))
        quota.take(.general)
        #expect(!quota.isFree(.general))
        #expect(quota.isFree(.reserved))
        quota.take(.reserved)
        #expect(!quota.isFree(.reserved))
        #expect(quota.count == 3)
        let early = quota.promote()
        #expect(!early)
        quota.giveBack(.general)
        let inTime = quota.promote()
        #expect(inTime)
        #expect(!quota.isFree(.general))
        #expect(quota.isFree(.reserved))
        quota.giveBack(.general)
        let nobody = quota.promote()
        #expect(!nobody)
        #expect(quota.count == 1)
    }
}
