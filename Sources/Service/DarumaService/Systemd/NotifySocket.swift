import Glibc

/// Sends messages to systemd without blocking.
///
/// The socket stays open, so that a heartbeat does not fail when the process runs out of descriptors. It is not
/// connected, so that it reaches a systemd that has restarted under the same name.
package final class NotifySocket: Sendable {
    package enum Outcome: Sendable, Equatable {
        case sent
        /// The receiver's queue is full: retry soon.
        case full
        case failed(errno: Int32)
    }

    private let address: NotifyAddress
    private let descriptor: Int32

    /// `nil` if the process has no descriptor left.
    package init?(_ address: NotifyAddress) {
        let kind = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        descriptor = socket(AF_UNIX, kind, 0)
        self.address = address
        if descriptor < 0 { return nil }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Sends assignments such as `READY=1`, one per line.
    package func send(_ message: String) -> Outcome {
        while true {
            let count = address.withSockAddr { address, length in
                sendto(descriptor, message, message.utf8.count, Int32(MSG_NOSIGNAL), address, length)
            }
            if count >= 0 { return .sent }
            switch errno {
            case EINTR: continue
            case EAGAIN, EWOULDBLOCK, ENOBUFS: return .full
            default: return .failed(errno: errno)
            }
        }
    }
}
