import DispatchLoop
import PostgresTestKit

/// Counts the TCP connects of a process that has a network namespace of its own, where nothing else connects.
final class ConnectRate: Sendable {
    private let samples = Locked<[(at: ContinuousClock.Instant, count: Int)]>([])
    private let loop: BackgroundLoop

    init(of process: Int32) {
        loop = BackgroundLoop("connects of \(process)", pause: .milliseconds(50)) { [samples] in
            guard let count = ConnectRate.connects(in: Files.read("/proc/\(process)/net/snmp") ?? "") else { return }
            samples.withLock { $0.append((.now, count)) }
        }
    }

    /// `ActiveOpens` of proc(5)'s net/snmp: connects since the namespace began.
    static func connects(in text: String) -> Int? {
        let lines = text.split(separator: "\n").filter { $0.hasPrefix("Tcp:") }.map { $0.split(separator: " ") }
        guard lines.count == 2, let column = lines[0].firstIndex(of: "ActiveOpens"), column < lines[1].count else {
            return nil
        }
        return Int(lines[1][column])
    }

    /// The most connects in one second, between two moments.
    func most(from begin: ContinuousClock.Instant, to end: ContinuousClock.Instant) -> Int {
        Self.most(in: samples.withLock { $0 }.filter { $0.at >= begin && $0.at <= end })
    }

    static func most(in samples: [(at: ContinuousClock.Instant, count: Int)]) -> Int {
        var most = 0
        var first = 0
        for sample in samples {
            // The earliest sample within a second.
            while samples[first].at < sample.at - .seconds(1) { first += 1 }
            most = max(most, sample.count - samples[first].count)
        }
        return most
    }

    func stop() async { await loop.stop() }
}
