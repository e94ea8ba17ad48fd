import Glibc

/// Sends messages to a service manager, without ever waiting for it.
///
/// The socket is opened once and kept: a watchdog's beat must not fail because the process is out of descriptors. It is
/// not connected, so that a manager that has come back under the same name is found.
package final class NotifySocket: Sendable {
    package enum Outcome: Sendable, Equatable {
        case sent
        /// The manager has more waiting than it takes: try again soon.
        case full
        /// Nobody is there to be told.
        case failed(errno: Int32)
    }

    private let address: NotifyAddress
    private let descriptor: Int32

    /// `nil` when there is no descriptor left; nothing is told then.
    package init?(_ address: NotifyAddress) {
        let kind = Int32(SOCK_DGRAM.rawValue | SOCK_CLOEXEC.rawValue | SOCK_NONBLOCK.rawValue)
        descriptor = socket(AF_UNIX, kind, 0)
        self.address = address
        if descriptor < 0 { return nil }
    }

    deinit { if descriptor >= 0 { close(descriptor) } }

    /// Sends assignments, one in a line, such as `READY=1`.
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
