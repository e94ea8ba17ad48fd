import DispatchLoop
import PostgresTestKit

/// Polls the number of connections that a process has to its database, and keeps the maximum. For faults without a
/// relay, which counts exactly.
final class ConnectionCounter: Sendable {
    private let most = Locked(0)
    private let loop: BackgroundLoop?

    init(of process: Int32?, to ports: Set<UInt16>) {
        guard let process, !ports.isEmpty else {
            loop = nil
            return
        }
        loop = BackgroundLoop("connections of \(process)", pause: .milliseconds(25)) { [most] in
            let count = ProcessTable.connections(of: process, to: ports)
            most.withLock { $0 = max($0, count) }
        }
    }

    /// Nil if nothing could be counted.
    var peak: Int? { loop.map { _ in most.withLock { $0 } } }

    func stop() async { await loop?.stop() }
}
