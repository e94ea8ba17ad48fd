internal import CLinux
internal import DispatchLoop
internal import Glibc

/// The system calls on sockets, with `errno` in their results.
enum Socket {
    enum Outcome {
        /// The number of transferred bytes. For a read, 0 is the end.
        case bytes(Int)
        case wouldBlock
        case failed(Int32)
    }

    // `withUnsafeBytes` and its siblings are called here, outside LoopActor: an isolated closure pays an executor check
    // per call.

    static func receive(_ descriptor: Int32, into array: inout [UInt8], max: Int) -> Outcome {
        array.withUnsafeMutableBufferPointer { buffer in
            outcome { recv(descriptor, buffer.baseAddress, min(max, buffer.count), 0) }
        }
    }

    /// Never raises SIGPIPE.
    static func send(_ descriptor: Int32, _ bytes: ArraySlice<UInt8>) -> Outcome {
        bytes.withUnsafeBufferPointer { send(descriptor, $0) }
    }

    /// Never raises SIGPIPE.
    static func send(_ descriptor: Int32, _ bytes: UnsafeBufferPointer<UInt8>) -> Outcome {
        outcome { Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL)) }
    }

    /// Sends three pieces as one. Never raises SIGPIPE.
    static func send(
        _ descriptor: Int32, _ first: UnsafeBufferPointer<UInt8>, _ second: UnsafeBufferPointer<UInt8>,
        _ third: UnsafeBufferPointer<UInt8>
    ) -> Outcome {
        withUnsafeTemporaryAllocation(of: iovec.self, capacity: 3) { vectors in
            vectors.initializeElement(at: 0, to: vector(first))
            vectors.initializeElement(at: 1, to: vector(second))
            vectors.initializeElement(at: 2, to: vector(third))
            var message = msghdr()
            message.msg_iov = vectors.baseAddress
            message.msg_iovlen = vectors.count
            return outcome { sendmsg(descriptor, &message, Int32(MSG_NOSIGNAL)) }
        }
    }

    /// The outcome of a call, repeated if a signal interrupts it.
    @inline(__always)
    private static func outcome(of call: () -> Int) -> Outcome {
        while true {
            let count = call()
            if count >= 0 { return .bytes(count) }
            if errno == EINTR { continue }
            return errno == EAGAIN || errno == EWOULDBLOCK ? .wouldBlock : .failed(errno)
        }
    }

    private static func vector(_ bytes: UnsafeBufferPointer<UInt8>) -> iovec {
        iovec(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
    }

    /// Whether the socket has unread bytes. The client's end does not count.
    static func hasUnread(_ descriptor: Int32) -> Bool {
        var byte: UInt8 = 0
        return recv(descriptor, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT)) > 0
    }

    /// Whether a read would return the client's end. Reads nothing.
    static func isAtEnd(_ descriptor: Int32) -> Bool {
        var byte: UInt8 = 0
        return recv(descriptor, &byte, 1, Int32(MSG_PEEK | MSG_DONTWAIT)) == 0
    }

    /// Accepts the next connection, non-blocking and closed on exec.
    static func accept(_ descriptor: Int32) -> Result<(descriptor: Int32, peer: PeerAddress), AcceptFailure> {
        let flags = Int32(SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let connection = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { accept4(descriptor, $0, &length, flags) }
        }
        return connection >= 0 ? .success((connection, PeerAddress(storage))) : .failure(AcceptFailure(errno))
    }

    /// The meaning of a failed accept.
    enum AcceptFailure: Error {
        /// No connection waits.
        case none
        /// This connection has failed; another one may wait.
        case next
        /// No descriptor is left.
        case exhausted(Int32)
        /// No memory is left, or the error is unknown: accepting pauses instead of spinning.
        case pause(Int32)

        init(_ errno: Int32) {
            switch errno {
            case EAGAIN, EWOULDBLOCK: self = .none
            // accept(2) passes on errors of the new connection, to be treated like EAGAIN.
            case EINTR, ECONNABORTED, EPROTO, ENETDOWN, ENOPROTOOPT, EHOSTDOWN, ENONET, EHOSTUNREACH, EOPNOTSUPP,
                ENETUNREACH, EPERM, ETIMEDOUT:
                self = .next
            case EMFILE, ENFILE: self = .exhausted(errno)
            default: self = .pause(errno)
            }
        }
    }

    /// Whether a connection waits to be accepted.
    static func isReadable(_ descriptor: Int32) -> Bool {
        var request = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        return poll(&request, 1, 0) > 0
    }

    /// Whether the kernel reports the socket as writable: a third of its buffer is free.
    static func isWritable(_ descriptor: Int32) -> Bool {
        var request = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        return poll(&request, 1, 0) > 0
    }

    /// Returns and clears the socket's pending error, 0 for none.
    static func pendingError(_ descriptor: Int32) -> Int32 { option(descriptor, SO_ERROR) ?? 0 }

    private static func option(_ descriptor: Int32, _ name: Int32) -> Int32? {
        var value: Int32 = 0
        var length = socklen_t(MemoryLayout<Int32>.size)
        return getsockopt(descriptor, SOL_SOCKET, name, &value, &length) == 0 ? value : nil
    }

    static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32 = 1) {
        var value = value
        setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    /// Makes the kernel close a connection whose peer has vanished silently (a power failure, a lost network), after
    /// the peer has acknowledged nothing for `limit`: neither data (tcp(7), TCP_USER_TIMEOUT) nor, on an idle
    /// connection, keep-alive probes (SO_KEEPALIVE).
    static func watchPeer(_ descriptor: Int32, for limit: Duration) {
        let milliseconds = max(limit.nanoseconds / 1_000_000, 1)
        let third = Int32(clamping: min(max(milliseconds / 3000, 1), 32_767))
        set(descriptor, Int32(IPPROTO_TCP), TCP_USER_TIMEOUT, Int32(clamping: milliseconds))
        set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPIDLE, third)
        set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPINTVL, third)
        set(descriptor, Int32(IPPROTO_TCP), TCP_KEEPCNT, 3)
        set(descriptor, SOL_SOCKET, SO_KEEPALIVE)
    }

    static func shutdownWriting(_ descriptor: Int32) {
        shutdown(descriptor, Int32(SHUT_WR))
    }

    /// Closes and discards unsent bytes, so that the kernel does not keep them for a client that does not read.
    static func abort(_ descriptor: Int32) {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        Glibc.close(descriptor)
    }

    static func close(_ descriptor: Int32) {
        Glibc.close(descriptor)
    }

    /// Opens a socket that listens on `address`.
    static func listen(
        on address: SocketAddress, backlog: Int32, reusePort: Bool
    ) throws(ListenError) -> Int32 {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_NONBLOCK.rawValue | SOCK_CLOEXEC.rawValue)
        let descriptor = socket(address.domain, type, 0)
        guard descriptor >= 0 else { throw ListenError(address, errno: errno) }
        set(descriptor, SOL_SOCKET, SO_REUSEADDR)
        if reusePort { set(descriptor, SOL_SOCKET, SO_REUSEPORT) }
        // Accepted sockets inherit it on Linux, which saves a call per connection.
        set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY)
        // IPv4 has a socket of its own.
        if address.family == .ipv6 { set(descriptor, Int32(IPPROTO_IPV6), Int32(IPV6_V6ONLY)) }
        guard address.withSockAddr({ bind(descriptor, $0, $1) }) == 0, Glibc.listen(descriptor, backlog) == 0 else {
            let error = errno
            Glibc.close(descriptor)
            throw ListenError(address, errno: error)
        }
        return descriptor
    }

    /// Prepares a listening socket that another process has opened, and returns its address.
    static func adoptListening(_ descriptor: Int32) throws(ListenError) -> SocketAddress {
        func problem(_ text: String) -> ListenError { ListenError(descriptor: descriptor, problem: text) }
        guard let type = option(descriptor, SO_TYPE) else { throw problem("the descriptor is no open socket") }
        guard type == Int32(SOCK_STREAM.rawValue) else {
            throw problem("the socket is no stream socket; use ListenStream= in the socket unit")
        }
        guard let address = SocketAddress(of: descriptor) else {
            throw problem("the socket is not one of TCP; use a port in ListenStream= of the socket unit")
        }
        guard option(descriptor, SO_ACCEPTCONN) == 1 else {
            throw problem("the socket does not listen; use Accept=no in the socket unit")
        }
        guard fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0,
            fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK) == 0
        else { throw ListenError(address, errno: errno) }
        set(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY)
        return address
    }

    /// The seconds since 1970 from the coarse clock, which is cheap and precise enough for a `Date` field.
    static func wallClockSeconds() -> Int {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME_COARSE, &time)
        return time.tv_sec
    }
}
