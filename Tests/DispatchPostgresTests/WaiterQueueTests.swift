import DispatchLoop
import Testing

@testable import DispatchPostgres

@Suite struct WaiterQueueTests {
    @Test("waiters leave from the front, or from anywhere when withdrawn", arguments: 0..<10)
    func model(seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        var queue = WaiterQueue()
        var model: [WaiterID] = []
        var gone: [WaiterID] = []
        for _ in 0..<3_000 {
            switch Int.random(in: 0..<4, using: &random) {
            case 0, 1: model.append(queue.enqueue())
            case 2:
                let next = queue.dequeue()
                #expect(next == model.first, "seed \(seed)")
                if !model.isEmpty { gone.append(model.removeFirst()) }
            default:
                if let id = model.randomElement(using: &random) {
                    let wasWaiting = queue.remove(id)
                    #expect(wasWaiting, "seed \(seed)")
                    model.removeAll { $0 == id }
                    gone.append(id)
                }
                if let id = gone.randomElement(using: &random) {
                    let wasWaiting = queue.remove(id)
                    #expect(!wasWaiting, "seed \(seed)")
                }
            }
            #expect(queue.count == model.count, "seed \(seed)")
        }
    }

    @Test("expired waiters leave by deadline, the others keep their order", arguments: 0..<10)
    func deadlines(seed: Int) {
        var random = SplitMix64(seed: UInt64(seed))
        var queue = WaiterQueue()
        var model: [(id: WaiterID, deadline: Int64)] = []
        for now in 0..<2_000 as Range<Int64> {
            let deadline = now + Int64.random(in: 1...60, using: &random)
            model.append((queue.enqueue(deadline: MonotonicTime(nanoseconds: deadline)), deadline))
            if Bool.random(using: &random) {
                let next = queue.dequeue()
                #expect(next == model.removeFirst().id, "seed \(seed)")
            }
            var expired: [Int64] = []
            while let id = queue.dequeueExpired(at: MonotonicTime(nanoseconds: now)) {
                guard let index = model.firstIndex(where: { $0.id == id }) else {
                    Issue.record("seed \(seed): \(id) had left already")
                    return
                }
                expired.append(model.remove(at: index).deadline)
            }
            #expect(expired == expired.sorted(), "seed \(seed)")
            #expect(expired.allSatisfy { $0 <= now }, "seed \(seed)")
            #expect(model.allSatisfy { $0.deadline > now }, "seed \(seed)")
            #expect(queue.count == model.count, "seed \(seed)")
        }
    }
}
