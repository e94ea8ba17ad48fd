internal import CLinux
internal import Glibc

/// An IPv4 or IPv6 address with a port.
public struct SocketAddress: Sendable, Hashable, CustomStringConvertible {
    enum Family: Sendable, Hashable {
        case ipv4
        case ipv6
    }

    let family: Family
    /// The address as text, without brackets.
    public let host: String
    /// The port.
    public let port: UInt16

    /// Loopback and wildcard addresses, by family.
    static func any(_ family: Family, port: UInt16) -> SocketAddress {
        SocketAddress(family: family, host: family == .ipv4 ? "0.0.0.0" : "::", port: port)
    }
    static func loopback(_ family: Family, port: UInt16) -> SocketAddress {
        SocketAddress(family: family, host: family == .ipv4 ? "127.0.0.1" : "::1", port: port)
    }

    private init(family: Family, host: String, port: UInt16) {
        self.family = family
        self.host = host
        self.port = port
    }

    /// The address that `text` writes as digits, or `nil`. Names are not looked up: that would block.
    init?(_ text: String, port: UInt16) {
        var v4 = in_addr()
        var v6 = in6_addr()
        if inet_pton(AF_INET, text, &v4) == 1 {
            self.init(family: .ipv4, host: text, port: port)
        } else if inet_pton(AF_INET6, text, &v6) == 1 {
            self.init(family: .ipv6, host: text, port: port)
        } else {
            return nil
        }
    }

    /// `127.0.0.1:8080`, `[::1]:8080`
    public var description: String { family == .ipv4 ? "\(host):\(port)" : "[\(host)]:\(port)" }

    var domain: Int32 { family == .ipv4 ? AF_INET : AF_INET6 }

    /// Hands the address to a system call.
    func withSockAddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        switch family {
        case .ipv4:
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            inet_pton(AF_INET, host, &address.sin_addr)
            return withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        case .ipv6:
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            inet_pton(AF_INET6, host, &address.sin6_addr)
            return withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<sockaddr_in6>.size))
                }
            }
        }
    }

    /// Where a socket of TCP is bound; `nil` for any other.
    init?(of descriptor: Int32) {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        let family: Family? = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                guard getsockname(descriptor, address, &length) == 0,
                    getnameinfo(address, length, &host, socklen_t(host.count), nil, 0, NI_NUMERICHOST) == 0
                else { return nil }
                switch Int32(address.pointee.sa_family) {
                case AF_INET: return .ipv4
                case AF_INET6: return .ipv6
                default: return nil
                }
            }
        }
        guard let family else { return nil }
        let digits = host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        self = SocketAddress(family: family, host: String(decoding: digits, as: UTF8.self), port: 0)
            .withBoundPort(of: descriptor)
    }

    /// The same address with another port.
    func withPort(_ port: UInt16) -> SocketAddress { SocketAddress(family: family, host: host, port: port) }

    /// The same address with the port that the kernel has given to `descriptor`.
    func withBoundPort(of descriptor: Int32) -> SocketAddress {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let result = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
        }
        guard result == 0 else { return self }
        // The port stands at the same place in both families.
        let bound = withUnsafePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { UInt16(bigEndian: $0.pointee.sin_port) }
        }
        return SocketAddress(family: family, host: host, port: bound)
    }
}
