package import Glibc

/// A free TCP port on the loopback address that stays this sandbox's own while its server is stopped.
///
/// The kernel keeps it: a socket bound with SO_REUSEADDR that never listens lets PostgreSQL, which
/// sets the same option, bind beside it, refuses connections meanwhile, and keeps every automatic
/// choice of a port – another sandbox's, an outgoing connection's – away from it.
package final class PortReservation: Sendable {
    package let port: UInt16
    private let descriptor: Int32

    init() throws {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var one: Int32 = 1
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        guard descriptor >= 0, Self.bind(descriptor, to: 0), let port = Self.port(of: descriptor) else {
            let reason = String(cString: strerror(errno))
            close(descriptor)
            throw SandboxError(.folder, "no free port on the loopback address: \(reason)")
        }
        self.descriptor = descriptor
        self.port = port
    }

    deinit { close(descriptor) }

    /// A port that is free now, outside the range from which the kernel serves outgoing connections:
    /// for a server that must come back to the same port long after this process has ended.
    package static func unreserved() throws -> UInt16 {
        for _ in 0..<200 {
            let candidate = UInt16.random(in: 15_000...29_999)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            defer { close(descriptor) }
            if bind(descriptor, to: candidate) { return candidate }
        }
        throw SandboxError(.folder, "no free port on the loopback address between 15000 and 29999")
    }

    /// Whether nobody listens there now.
    package static func isFree(_ port: UInt16) -> Bool {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        defer { close(descriptor) }
        var one: Int32 = 1
        // Connections of an earlier service that are still fading away are no listener.
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
        return bind(descriptor, to: port)
    }

    private static func bind(_ descriptor: Int32, to port: UInt16) -> Bool {
        LoopbackAddress.with(port) { Glibc.bind(descriptor, $0, $1) == 0 }
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

/// An address in 127.0.0.0/8, which with a port takes the shape that system calls want.
package struct LoopbackAddress: Sendable, CustomStringConvertible {
    private let bytes: [UInt8]

    package init(_ first: UInt8, _ second: UInt8, _ third: UInt8, _ fourth: UInt8) {
        bytes = [first, second, third, fourth]
    }

    /// 127.0.0.1.
    package static let standard = LoopbackAddress(127, 0, 0, 1)

    package var description: String { bytes.map { "\($0)" }.joined(separator: ".") }

    package static func with<Result>(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        standard.with(port, body)
    }

    package func with<Result>(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = bytes.reduce(UInt32(0)) { $0 << 8 | UInt32($1) }.bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
