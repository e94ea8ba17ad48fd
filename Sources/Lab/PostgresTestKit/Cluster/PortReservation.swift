internal import Glibc

/// A free TCP port on the loopback address that stays reserved for a sandbox while its server is stopped.
///
/// A socket holds the port: it is bound with SO_REUSEADDR and never listens. PostgreSQL sets the same option and can
/// bind beside it. Until then the kernel refuses connections, and gives the port to no other socket.
package final class PortReservation: Sendable {
    package let port: UInt16
    private let descriptor: Int32

    init() throws {
        let descriptor = Self.makeSocket(reusesAddress: true)
        guard descriptor >= 0, Self.bind(descriptor, to: 0), let port = Self.port(of: descriptor) else {
            let reason = SandboxError.systemMessage
            close(descriptor)
            throw SandboxError(.folder, "no free port on the loopback address: \(reason)")
        }
        self.descriptor = descriptor
        self.port = port
    }

    deinit { close(descriptor) }

    /// A port that is free now. It lies outside the range of outgoing connections, so that a server can return to it
    /// long after this process has ended.
    package static func unreserved() throws -> UInt16 {
        for _ in 0..<200 {
            let candidate = UInt16.random(in: 15_000...29_999)
            let descriptor = makeSocket(reusesAddress: false)
            defer { close(descriptor) }
            if bind(descriptor, to: candidate) { return candidate }
        }
        throw SandboxError(.folder, "no free port on the loopback address between 15000 and 29999")
    }

    /// Whether no process listens on the port now. Connections in TIME_WAIT do not count.
    package static func isFree(_ port: UInt16) -> Bool {
        let descriptor = makeSocket(reusesAddress: true)
        defer { close(descriptor) }
        return bind(descriptor, to: port)
    }

    private static func makeSocket(reusesAddress: Bool) -> Int32 {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var value: Int32 = reusesAddress ? 1 : 0
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &value, socklen_t(MemoryLayout<Int32>.size))
        return descriptor
    }

    private static func bind(_ descriptor: Int32, to port: UInt16) -> Bool {
        IPv4Address.loopback.with(port) { Glibc.bind(descriptor, $0, $1) == 0 }
    }

    private static func port(of descriptor: Int32) -> UInt16? {
        var address = sockaddr_in()
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        return result == 0 ? UInt16(bigEndian: address.sin_port) : nil
    }
}
