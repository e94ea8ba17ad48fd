import DispatchLoop
import Dispatch
import Glibc
package import PostgresTestKit

/// What one prober made of a service over time: how often it asked, and each change of its mind.
package struct ProbeRecord: Sendable {
    /// A change of mind, at the end of the exchange that caused it.
    package struct Change: Sendable {
        package let at: ContinuousClock.Instant
        package let isGood: Bool
    }

    package let name: String
    package internal(set) var asked = 0
    package internal(set) var bad = 0
    /// The longest that an answer took.
    package internal(set) var worst = Duration.zero
    /// What was heard first, and every change after it.
    package internal(set) var changes: [Change] = []
    /// What the first bad answer was.
    package internal(set) var firstBad: String?

    package init(_ name: String) { self.name = name }

    package var isGood: Bool { changes.last?.isGood ?? false }

    mutating func note(_ isGood: Bool, at time: ContinuousClock.Instant, took: Duration = .zero, as text: String = "") {
        asked += 1
        worst = max(worst, took)
        if !isGood {
            bad += 1
            if firstBad == nil { firstBad = text }
        }
        if changes.last?.isGood != isGood { changes.append(Change(at: time, isGood: isGood)) }
    }

    /// The first change to `isGood` at or after `begin`, counted from there.
    package func delay(of isGood: Bool, after begin: ContinuousClock.Instant) -> Duration? {
        changes.first { $0.at >= begin && $0.isGood == isGood }.map { $0.at - begin }
    }

    /// How often it changed its mind in between.
    package func flips(from begin: ContinuousClock.Instant, to end: ContinuousClock.Instant) -> Int {
        changes.dropFirst().count { $0.at >= begin && $0.at < end }
    }
}

/// Asks again and again on a thread of its own, and keeps the record.
package final class ProbeWatch: Sendable {
    private let state: Locked<[ProbeRecord]>
    private let isStopped = Locked(false)
    private let done = DispatchSemaphore(value: 0)

    /// A prober that asks `path` in its own way. One bad answer, or none within `limit`, is bad: a failure threshold of 1.
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

    /// Looks at what HAProxy thinks, each of its checks a record of its own.
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
        state = Locked(names.map(ProbeRecord.init))
        // A queue of its own is a thread of its own while this block lasts.
        DispatchQueue(label: "probe \(names[0])").async { [state, isStopped, done] in
            let step = makeStep()
            var records = names.map(ProbeRecord.init)
            var next = ContinuousClock.now
            while !isStopped.withLock({ $0 }) {
                step(&records)
                state.withLock { $0 = records }
                next = max(next + interval, ContinuousClock.now)
                let pause = next - ContinuousClock.now
                if pause > .zero { usleep(UInt32(pause.milliseconds * 1000)) }
            }
            done.signal()
        }
    }

    package var records: [ProbeRecord] { state.withLock { $0 } }

    /// Returns once the last exchange is recorded.
    package func stop() async {
        isStopped.withLock { $0 = true }
        let done = self.done
        await offCooperativeThreads { done.wait() }
    }
}
