internal import CLibPQ
import DispatchLoop
internal import Dispatch

/// A step of connecting that takes the processor for milliseconds, off the loop: the keys of SCRAM-SHA-256 are 4,096 rounds
/// of hashing (RFC 5802 §2.2), 4 ms where this was measured, and those of TLS are no less. Ten connects after an outage
/// would keep everybody else waiting for as many times that.
///
/// The connection belongs to the step until it ends or is withdrawn.
final class ConnectStep: Sendable {
    private enum Phase {
        case waiting, running, ended, withdrawn
    }

    /// As many at a time as there are processors; they compute and do not wait.
    private static let queue = DispatchQueue(label: "daruma.connect", attributes: .concurrent)

    private let phase = Locked(Phase.waiting)
    private let end = DispatchSemaphore(value: 0)

    /// Whether libpq's next step may be such a one: the server has been spoken to, and answers are awaited.
    static func isNext(of connection: OpaquePointer) -> Bool {
        let status = PQstatus(connection)
        return status == CONNECTION_AWAITING_RESPONSE || status == CONNECTION_SSL_STARTUP
    }

    /// Polls the connection elsewhere; `completion` is called on the loop, unless the step is withdrawn.
    func run(
        _ connection: OpaquePointer, completion: @escaping @Sendable @LoopActor (PostgresPollingStatusType) -> Void
    ) {
        // Handed over: the loop does not touch it until the completion or the end of `withdraw`.
        nonisolated(unsafe) let connection = connection
        Self.queue.async { [self] in
            guard enter(.running, from: .waiting) else { return }
            let status = PQconnectPoll(connection)
            phase.withLock { $0 = .ended }
            end.signal()
            EventLoop.shared.submit {
                if self.enter(.withdrawn, from: .ended) { completion(status) }
            }
        }
    }

    /// Takes the connection back. Where the step is running already, waits for it, a few milliseconds: the connection's
    /// socket has to be closed when the attempt has been abandoned, or there could be more than are allowed.
    func withdraw() {
        let wasRunning = phase.withLock { phase in
            defer { if phase != .running { phase = .withdrawn } }
            return phase == .running
        }
        guard wasRunning else { return }
        end.wait()
        phase.withLock { $0 = .withdrawn }
    }

    private func enter(_ next: Phase, from expected: Phase) -> Bool {
        phase.withLock { phase in
            guard phase == expected else { return false }
            phase = next
            return true
        }
    }
}
