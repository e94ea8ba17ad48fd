internal import DispatchLoop

/// A chart of the pool's size over time for the terminal.
package struct PoolChart {
    /// One line for each chosen sample, with a bar of `width` characters at `maximum`.
    package static func lines(_ samples: [Balancer.Sample], maximum: Int, width: Int = 50, count: Int = 24) -> [String]
    {
        pick(samples, count: count).map { sample in
            let bar = (sample.total * width + maximum - 1) / max(maximum, 1)
            let busy = (sample.leased * width + maximum - 1) / max(maximum, 1)
            let text = String(repeating: "█", count: busy) + String(repeating: "░", count: max(bar - busy, 0))
            let time = Figure.fixed(Double(sample.time.nanoseconds) / 1e9, 1)
            let waiting = sample.waiters > 0 ? ", \(Figure.grouped(Double(sample.waiters))) wait" : ""
            let padding = String(repeating: " ", count: max(0, 7 - time.count))
            return "\(padding)\(time) s  \(text) \(sample.total)\(waiting)"
        }
    }

    /// Chooses samples at which the size changed, and evenly spread ones.
    private static func pick(_ samples: [Balancer.Sample], count: Int) -> [Balancer.Sample] {
        guard samples.count > count, let first = samples.first, let last = samples.last else { return samples }
        var chosen: [Int: Balancer.Sample] = [0: first, samples.count - 1: last]
        let changes = samples.indices.dropFirst().filter { samples[$0].total != samples[$0 - 1].total }
        let stride = max(1, changes.count / (count / 2))
        for (number, index) in changes.enumerated() where number % stride == 0 { chosen[index] = samples[index] }
        let step = max(1, samples.count / (count / 2))
        for index in Swift.stride(from: 0, to: samples.count, by: step) { chosen[index] = samples[index] }
        return chosen.sorted { $0.key < $1.key }.map(\.value)
    }
}
