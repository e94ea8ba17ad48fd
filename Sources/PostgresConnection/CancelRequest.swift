internal import CLibPQ
package import DispatchLoop

/// Asks the server to stop what a session is running, so that work nobody waits for does not pile up there.
///
/// `PQcancel` blocks – it opens a connection of its own – and has no deadline: it runs on a helper thread, of which there
/// are no more than ``limit``. The server does not say what became of it.
@LoopActor
package final class CancelRequest {
    package static let limit = 2
    private static var inFlight = 0

    /// A PGcancel, which is independent of its connection, as a number: it travels to the helper and is freed there.
    private var handle: UInt?

    init?(_ connection: OpaquePointer) {
        guard let handle = PQgetCancel(connection) else { return nil }
        self.handle = UInt(bitPattern: handle)
    }

    isolated deinit {
        if let handle { PQfreeCancel(OpaquePointer(bitPattern: handle)) }
    }

    /// Sends it, once. `completion` is called when the helper has done, unless this returns `false`: no helper is free.
    package func send(completion: @escaping @LoopActor @Sendable () -> Void) -> Bool {
        guard let handle, Self.inFlight < Self.limit else { return false }
        let started = startThread {
            let cancel = OpaquePointer(bitPattern: handle)
            var message = [CChar](repeating: 0, count: 256)
            _ = PQcancel(cancel, &message, Int32(message.count))
            PQfreeCancel(cancel)
            EventLoop.shared.submit {
                Self.inFlight -= 1
                completion()
            }
        }
        guard started else { return false }
        self.handle = nil
        Self.inFlight += 1
        return true
    }
}
