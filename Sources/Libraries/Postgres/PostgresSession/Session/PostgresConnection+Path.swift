internal import CLibPQ
import DispatchLoop

extension PostgresConnection {
    /// Whether the running statement has reached the server's machine, according to the kernel; costs a system call.
    ///
    /// `tcpi_retransmits` alone is too slow: it does not count the first retransmission, a tail loss probe (RFC 8985
    /// §7) after 204 ms on a quick path, and the next one comes after 412 ms (measured).
    package var path: Path {
        var path = clibpq_path()
        guard let connection, let running, running.isSent, clibpq_path(PQsocket(connection), &path) == 1 else {
            return .acknowledged
        }
        if path.unacknowledged == 0 { return .acknowledged }
        let age = min(
            loop.now.nanoseconds - running.sentAt.nanoseconds, Int64(path.sinceAcknowledgement) * 1_000_000)
        return path.retransmits > 0 || age > Int64(path.timeout) * 1_000 ? .lost : .open
    }

    /// The state of the network path to the server (tcp(7), TCP_INFO).
    package enum Path: Sendable, Hashable {
        /// Everything sent is acknowledged: the server's machine, or a proxy on the path, is alive.
        case acknowledged
        /// Something is unacknowledged, for no longer than the path usually takes.
        case open
        /// Something has been unacknowledged for longer than the path usually takes: packets are lost.
        case lost
    }
}
