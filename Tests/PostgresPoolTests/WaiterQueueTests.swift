import Testing

@testable import PostgresPool

@Suite struct WaiterQueueTests {
    @Test("waiters leave from the front, or from anywhere when they give up", arguments: 0..<10)
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
}
