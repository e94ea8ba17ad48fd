import Glibc
import PostgresTestKit

/// A non-blocking socket of one client among thousands.
///
/// One thread serves all clients. Each acts rarely, so a pass every few milliseconds suffices, and leaves the processor
/// to the service.
struct ClientSocket: ~Copyable, Sendable {
    /// The result of reading or writing.
    enum IOResult: Equatable {
        case bytes(Int)
        case wouldBlock
        /// The server has closed the connection.
        case ended
        case reset
    }

    let descriptor: Int32

    /// Connects and waits for the handshake, which is immediate unless the server's backlog is full.
    ///
    /// - Parameters:
    ///   - address: the service.
    ///   - number: the client's number. Every 5,000 clients share a loopback address, so that its ports suffice.
    ///   - isNarrow: sets a small window and small segments, as on a bad line. On loopback, where segments have 64 KiB,
    ///     the kernel would buffer megabytes for each client before the server noticed.
    init(to address: ServiceAddress, number: Int, isNarrow: Bool = false) throws {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_INET, type, 0)
        self.descriptor = descriptor
        guard descriptor >= 0 else { throw Self.failure("socket") }
        if isNarrow {
            Self.set(descriptor, SOL_SOCKET, SO_RCVBUF, 2048)
            Self.set(descriptor, Int32(IPPROTO_TCP), TCP_MAXSEG, 536)
        }
        // The kernel chooses the port when it connects, so the port need not be free for all destinations.
        Self.set(descriptor, Int32(IPPROTO_IP), Self.bindAddressWithoutPort, 1)
        let source = IPv4Address(UInt32(0x7F00_0001 + number / 5000))
        guard source.with(0, { bind(descriptor, $0, $1) }) == 0 else { throw Self.failure("bind") }
        guard let target = IPv4Address(address.host), target.with(address.port, { connect(descriptor, $0, $1) }) == 0
        else { throw Self.failure("connect") }
        let flags = fcntl(descriptor, F_GETFL)
        _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
    }

    deinit { close(descriptor) }

    func send(_ bytes: borrowing [UInt8]) -> IOResult {
        let count = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        return Self.result(count, ofReading: false)
    }

    /// Reads at most the size of `buffer`.
    func receive(_ buffer: inout [UInt8]) -> IOResult {
        Self.result(recv(descriptor, &buffer, buffer.count, 0), ofReading: true)
    }

    private static func result(_ count: Int, ofReading isReading: Bool) -> IOResult {
        if count > 0 { return .bytes(count) }
        if count == 0 { return isReading ? .ended : .wouldBlock }
        return errno == EAGAIN || errno == EINTR ? .wouldBlock : .reset
    }

    /// `IP_BIND_ADDRESS_NO_PORT`, ip(7), a macro that Swift does not import.
    private static let bindAddressWithoutPort: Int32 = 24

    private static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    private static func failure(_ call: String) -> SandboxError {
        SandboxError(.service, "a client failed: \(call): \(SandboxError.systemMessage)")
    }
}
