import DispatchLoop
package import PostgresTestKit

/// The results of one prober: counts, and each change between good and bad.
package struct ProbeRecord: Sendable {
    /// A change, at the end of the exchange that caused it.
    package struct Change: Sendable {
        package let at: ContinuousClock.Instant
        package let isGood: Bool
    }

    package let name: String
    /// The number of probes.
    package internal(set) var count = 0
    package internal(set) var bad = 0
    /// The slowest answer.
    package internal(set) var worst = Duration.zero
    /// The first result and every change.
    package internal(set) var changes: [Change] = []
    /// The first bad answer.
    package internal(set) var firstBad: String?

    package init(_ name: String) { self.name = name }

    package var isGood: Bool { changes.last?.isGood ?? false }

    mutating func note(_ isGood: Bool, at time: ContinuousClock.Instant, took: Duration = .zero, as text: String = "") {
        count += 1
        worst = max(worst, took)
        if !isGood {
            bad += 1
            if firstBad == nil { firstBad = text }
        }
        if changes.last?.isGood != isGood { changes.append(Change(at: time, isGood: isGood)) }
    }

    /// The time from `begin` to the first change to `isGood`.
    package func delay(of isGood: Bool, after begin: ContinuousClock.Instant) -> Duration? {
        changes.first { $0.at >= begin && $0.isGood == isGood }.map { $0.at - begin }
    }

    /// The number of changes between two moments.
    package func flips(from begin: ContinuousClock.Instant, to end: ContinuousClock.Instant) -> Int {
        changes.dropFirst().count { $0.at >= begin && $0.at < end }
    }
}

/// Probes at a steady pace on its own thread, and keeps the records.
package final class ProbeWatch: Sendable {
    private let state: Locked<[ProbeRecord]>
    private let loop: BackgroundLoop

    /// Sends requests in the style of an orchestrator, with a failure threshold of 1: one bad answer, or none within
    /// `limit`, is bad.
    package convenience init(
        _ name: String, _ style: ProbeStyle, _ path: String, on port: UInt16, keepsConnection: Bool,
        every interval: Duration, limit: Duration = .seconds(1)
    ) {
        self.init([name], every: interval) {
            let probe = HTTPProbe(
                port: port, mode: keepsConnection ? .keepAlive : .freshConnection, style: style, limit: limit)
            return { records in
                let exchange = probe.get(path)
                let isGood = exchange.status.map { (200..<400).contains($0) } ?? false
                records[0].note(isGood, at: exchange.end, took: exchange.latency, as: exchange.summary)
            }
        }
    }

    /// Polls HAProxy for the results of its own checks, one record for each.
    package convenience init(_ haproxy: HAProxy, _ checks: [HAProxy.Check], every interval: Duration) {
        self.init(checks.map { "HAProxy \($0.rawValue)" }, every: interval) {
            { records in
                guard let states = haproxy.states() else { return }
                let now = ContinuousClock.now
                for (index, check) in checks.enumerated() {
                    if let isUp = states[check] { records[index].note(isUp, at: now, as: "DOWN") }
                }
            }
        }
    }

    private init(
        _ names: [String], every interval: Duration,
        _ makeStep: @escaping @Sendable () -> (inout [ProbeRecord]) -> Void
    ) {
        let state = Locked(names.map(ProbeRecord.init))
        self.state = state
        loop = BackgroundLoop("probe \(names[0])", every: interval) {
            let step = makeStep()
            var records = names.map(ProbeRecord.init)
            return {
                step(&records)
                let now = records
                state.withLock { $0 = now }
            }
        }
    }

    package var records: [ProbeRecord] { state.withLock { $0 } }

    /// Stops, and returns when the last exchange is recorded.
    package func stop() async { await loop.stop() }
}
