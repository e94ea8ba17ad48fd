import Glibc

/// A TCP connection with a deadline for every step, for probes. It blocks its thread and belongs to one thread at a
/// time.
package final class DeadlineSocket: Sendable {
    /// Why a step failed.
    package enum Failure: Error, Equatable, Sendable {
        case refused
        case timedOut
        case closed
        case reset
        case other(Int32)

        package init(errno code: Int32) {
            switch code {
            case ECONNREFUSED: self = .refused
            case ECONNRESET, EPIPE: self = .reset
            default: self = .other(code)
            }
        }
    }

    /// Lets a caller poll several sockets at once.
    package let descriptor: Int32

    /// Connects. `host` is an IPv4 address or `localhost`.
    package init(host: String, port: UInt16, deadline: Deadline) throws(Failure) {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        descriptor = socket(AF_INET, type, 0)
        guard descriptor >= 0 else { throw Failure(errno: errno) }
        guard let address = IPv4Address(host) else { throw .other(EADDRNOTAVAIL) }
        if address.with(port, { connect(descriptor, $0, $1) }) == 0 { return }
        guard errno == EINPROGRESS else { throw Failure(errno: errno) }
        try wait(for: Int16(POLLOUT), deadline)
        var code: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length)
        if code != 0 { throw Failure(errno: code) }
    }

    /// Connects to a Unix socket.
    package init(path: String) throws(Failure) {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        descriptor = socket(AF_UNIX, type, 0)
        guard descriptor >= 0 else { throw Failure(errno: errno) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let bytes = Array(path.utf8)
        // One byte remains for the zero at the end.
        guard bytes.count < MemoryLayout.size(ofValue: address.sun_path) else { throw .other(ENAMETOOLONG) }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        let size = socklen_t(MemoryLayout<sockaddr_un>.size)
        let status = withUnsafePointer(to: address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { connect(descriptor, $0, size) }
        }
        if status != 0 { throw Failure(errno: errno) }
    }

    deinit {
        guard descriptor >= 0 else { return }
        // A process that another thread is starting may hold a copy of the descriptor for a moment.
        shutdown(descriptor, Int32(SHUT_RDWR))
        close(descriptor)
    }

    package func send(_ bytes: [UInt8], deadline: Deadline) throws(Failure) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            if count > 0 {
                rest = rest.dropFirst(count)
            } else if errno == EAGAIN {
                try wait(for: Int16(POLLOUT), deadline)
            } else if errno != EINTR {
                throw Failure(errno: errno)
            }
        }
    }

    /// Returns between one byte and `limit` bytes. Throws `closed` at the end of the stream.
    package func receive(limit: Int = 65_536, deadline: Deadline) throws(Failure) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: limit)
        while true {
            let count = recv(descriptor, &bytes, limit, 0)
            if count > 0 { return Array(bytes[..<count]) }
            if count == 0 { throw .closed }
            if errno == EAGAIN {
                try wait(for: Int16(POLLIN), deadline)
            } else if errno != EINTR {
                throw Failure(errno: errno)
            }
        }
    }

    /// Whether the peer's end has arrived. Does not wait.
    package var hasEnded: Bool {
        var byte: UInt8 = 0
        let count = recv(descriptor, &byte, 1, Int32(MSG_PEEK) | Int32(MSG_DONTWAIT))
        return count == 0 || count < 0 && errno != EAGAIN && errno != EINTR
    }

    private func wait(for events: Int16, _ deadline: Deadline) throws(Failure) {
        while true {
            var entry = pollfd(fd: descriptor, events: events, revents: 0)
            // Rounded up, so that a wait of 0.4 ms does not spin.
            let result = poll(&entry, 1, Int32(deadline.remaining.fractionalMilliseconds.rounded(.up)))
            if result > 0 { return }
            if result == 0 { throw .timedOut }
            if errno != EINTR { throw Failure(errno: errno) }
        }
    }
}

extension DeadlineSocket.Failure: CustomStringConvertible {
    package var description: String {
        switch self {
        case .refused: "refused"
        case .timedOut: "timed out"
        case .closed: "closed"
        case .reset: "reset"
        case .other(let code): String(cString: strerror(code))
        }
    }
}
