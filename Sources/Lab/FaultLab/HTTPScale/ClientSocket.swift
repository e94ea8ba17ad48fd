import Glibc
import PostgresTestKit

/// One client of a crowd: a socket that never blocks, and costs its owner nothing while nothing is asked of it.
///
/// A crowd is looked after by one thread that goes round: its members do something now and then, so going round every
/// few milliseconds is all it takes, and leaves the processor to what is measured.
struct ClientSocket: ~Copyable, Sendable {
    /// What came of reading or writing.
    enum Outcome: Equatable {
        case bytes(Int)
        case wouldBlock
        /// The other side has closed.
        case ended
        case reset
    }

    let descriptor: Int32

    /// Connects from a loopback address of the crowd's own, so that the ports of one do not run short. Waits for the
    /// handshake, which takes the kernel no time unless the server's backlog is full.
    ///
    /// - Parameters:
    ///   - address: where to.
    ///   - number: the member's number; each 5,000 share an address.
    ///   - isNarrow: with the small window and the small segments of a bad line. On loopback, segments are 64 KiB, and
    ///     the server's kernel would take megabytes for each client before the server noticed anything.
    init(to address: ServiceAddress, number: Int, isNarrow: Bool = false) throws {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        descriptor = socket(AF_INET, type, 0)
        guard descriptor >= 0 else { throw Self.failure("socket") }
        if isNarrow {
            Self.set(descriptor, SOL_SOCKET, SO_RCVBUF, 2048)
            Self.set(descriptor, Int32(IPPROTO_TCP), TCP_MAXSEG, 536)
        }
        // The port is chosen when the connection is, so that it need not be free for all destinations.
        Self.set(descriptor, Int32(IPPROTO_IP), Self.bindAddressWithoutPort, 1)
        let source = UInt32(0x7F00_0001 + number / 5000)
        guard Self.call(bind, descriptor, source, 0) == 0 else { throw Self.failure("bind") }
        var target = in_addr()
        guard inet_pton(AF_INET, address.host, &target) == 1,
            Self.call(connect, descriptor, UInt32(bigEndian: target.s_addr), address.port) == 0
        else { throw Self.failure("connect") }
        let flags = fcntl(descriptor, F_GETFL)
        _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
    }

    deinit { close(descriptor) }

    func send(_ bytes: borrowing [UInt8]) -> Outcome {
        let count = bytes.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
        return Self.outcome(count, ofReading: false)
    }

    /// Reads up to the size of `buffer`.
    func receive(_ buffer: inout [UInt8]) -> Outcome {
        Self.outcome(recv(descriptor, &buffer, buffer.count, 0), ofReading: true)
    }

    private static func outcome(_ count: Int, ofReading isReading: Bool) -> Outcome {
        if count > 0 { return .bytes(count) }
        if count == 0 { return isReading ? .ended : .wouldBlock }
        return errno == EAGAIN || errno == EINTR ? .wouldBlock : .reset
    }

    /// `IP_BIND_ADDRESS_NO_PORT`, ip(7); a macro that the importer does not bring.
    private static let bindAddressWithoutPort: Int32 = 24

    private static func set(_ descriptor: Int32, _ level: Int32, _ option: Int32, _ value: Int32) {
        var value = value
        setsockopt(descriptor, level, option, &value, socklen_t(MemoryLayout<Int32>.size))
    }

    private static func call(
        _ function: (Int32, UnsafePointer<sockaddr>, socklen_t) -> Int32, _ descriptor: Int32, _ host: UInt32,
        _ port: UInt16
    ) -> Int32 {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = host.bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                function(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }

    private static func failure(_ call: String) -> SandboxError {
        SandboxError(.service, "a client of the crowd: \(call): \(String(cString: strerror(errno)))")
    }

    /// Allows this process, and those that it starts, `count` descriptors.
    static func allow(descriptors count: Int) throws {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        if limit.rlim_cur >= rlim_t(count) { return }
        guard limit.rlim_max >= rlim_t(count) else {
            throw SandboxError(
                .service, "\(count) descriptors are needed and \(limit.rlim_max) allowed: raise the limit (ulimit -Hn)")
        }
        limit.rlim_cur = rlim_t(count)
        setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    }
}
