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

    /// The address of a numeric `text`; `nil` for a name.
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

    /// Calls `body` with the address for a system call.
    func withSockAddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        func withPointer<Address>(to address: inout Address) -> Result {
            withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    body($0, socklen_t(MemoryLayout<Address>.size))
                }
            }
        }
        switch family {
        case .ipv4:
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            inet_pton(AF_INET, host, &address.sin_addr)
            return withPointer(to: &address)
        case .ipv6:
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            inet_pton(AF_INET6, host, &address.sin6_addr)
            return withPointer(to: &address)
        }
    }

    /// The IP address and port in `address`; `nil` for another family.
    private init?(_ address: UnsafePointer<sockaddr>, _ length: socklen_t) {
        switch Int32(address.pointee.sa_family) {
        case AF_INET: family = .ipv4
        case AF_INET6: family = .ipv6
        default: return nil
        }
        var host = [CChar](repeating: 0, count: Int(NI_MAXHOST))
        guard getnameinfo(address, length, &host, socklen_t(host.count), nil, 0, NI_NUMERICHOST) == 0 else {
            return nil
        }
        self.host = String(decoding: host.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        // The port has the same offset in both families.
        port = address.withMemoryRebound(to: sockaddr_in.self, capacity: 1) { UInt16(bigEndian: $0.pointee.sin_port) }
    }

    /// The address of a TCP socket; `nil` for any other.
    init?(of descriptor: Int32) {
        var storage = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        let address: SocketAddress? = withUnsafeMutablePointer(to: &storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                getsockname(descriptor, $0, &length) == 0 ? SocketAddress($0, length) : nil
            }
        }
        guard let address else { return nil }
        self = address
    }

    /// Looks up a host name with getaddrinfo(3), which reads /etc/hosts and may ask a name server. Blocks.
    ///
    /// - Throws: `ListenError` if the name has no address.
    static func lookUp(_ host: String, port: UInt16) throws(ListenError) -> [SocketAddress] {
        var hints = addrinfo()
        hints.ai_flags = AI_PASSIVE
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var results: UnsafeMutablePointer<addrinfo>?
        let status = getaddrinfo(host, nil, &hints, &results)
        guard status == 0 else { throw ListenError(unknown: host, reason: String(cString: gai_strerror(status))) }
        defer { freeaddrinfo(results) }
        var found: [SocketAddress] = []
        var next = results
        while let result = next?.pointee {
            next = result.ai_next
            // Skips link-local addresses: `host` does not hold their zone in a form that inet_pton(3) reads.
            guard let address = SocketAddress(result.ai_addr, result.ai_addrlen)?.withPort(port),
                !address.host.utf8.contains(UInt8(ascii: "%")), !found.contains(address)
            else { continue }
            found.append(address)
        }
        guard !found.isEmpty else { throw ListenError(unknown: host, reason: "the name has no IP address") }
        return found
    }

    /// The same address with another port.
    func withPort(_ port: UInt16) -> SocketAddress { SocketAddress(family: family, host: host, port: port) }

    /// The same address with the port of `descriptor`.
    func withBoundPort(of descriptor: Int32) -> SocketAddress {
        SocketAddress(of: descriptor).map { withPort($0.port) } ?? self
    }
}
