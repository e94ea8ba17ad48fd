internal import CLibPQ

extension PostgresConnection {
    /// Whether what was sent has arrived, as far as the kernel knows; it costs a system call.
    package var path: Path {
        var path = clibpq_path()
        guard let connection, clibpq_path(PQsocket(connection), &path) == 1 else { return .acknowledged }
        if path.unacknowledged == 0 { return .acknowledged }
        return path.retransmits > 0 ? .lost : .open
    }

    /// What the kernel knows of the way to the server (tcp(7), TCP_INFO).
    package enum Path: Sendable, Hashable {
        /// All that was sent has been acknowledged: the other machine, or a proxy on the way, is there.
        case acknowledged
        /// Something has not been acknowledged yet, and not been sent again either.
        case open
        /// Something was sent again and has not been acknowledged: nothing comes through.
        case lost
    }
}
