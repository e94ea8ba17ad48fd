import DispatchLoop
import Dispatch
import Glibc
import PostgresTestKit

/// Looks again and again at how many connections a process has to its database, and remembers the most:
/// for faults without a relay, which counts exactly.
final class ConnectionCounter: Sendable {
    private let most = Locked(0)
    private let isStopped = Locked(false)
    private let done = DispatchSemaphore(value: 0)
    private let isCounting: Bool

    init(of process: Int32?, to ports: Set<UInt16>) {
        isCounting = process != nil && !ports.isEmpty
        guard let process, isCounting else { return }
        DispatchQueue(label: "connections of \(process)").async { [most, isStopped, done] in
            while !isStopped.withLock({ $0 }) {
                let count = ProcessTable.connections(of: process, to: ports)
                most.withLock { $0 = max($0, count) }
                usleep(25_000)
            }
            done.signal()
        }
    }

    /// Nil when nothing could be counted.
    var peak: Int? { isCounting ? most.withLock { $0 } : nil }

    func stop() async {
        guard isCounting else { return }
        isStopped.withLock { $0 = true }
        let done = self.done
        await offCooperativeThreads { done.wait() }
    }
}
