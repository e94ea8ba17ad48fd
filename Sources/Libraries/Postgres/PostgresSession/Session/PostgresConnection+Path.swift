internal import CLibPQ
import DispatchLoop

extension PostgresConnection {
    /// Whether what was sent has arrived, as far as the kernel knows; it costs a system call.
    ///
    /// `tcpi_retransmits` alone tells too late: the first segment to be sent again, after 204 ms on a quick path, is a probe
    /// for a lost tail (RFC 8985 §7), which it does not count; the next one comes after 412 ms (measured).
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

    /// What the kernel knows of the way to the server (tcp(7), TCP_INFO).
    package enum Path: Sendable, Hashable {
        /// All that was sent has been acknowledged: the other machine, or a proxy on the way, is there.
        case acknowledged
        /// Something has not been acknowledged yet, and need not be on a path as long as this one.
        case open
        /// Something has not been acknowledged for longer than the path takes: nothing comes through.
        case lost
    }
}
