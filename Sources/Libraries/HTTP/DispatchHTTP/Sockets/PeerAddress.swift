internal import CLinux
internal import Glibc

/// The client's address as accept(2) returned it. Plain numbers, which become text only on demand.
public struct PeerAddress: Sendable, Hashable, CustomStringConvertible {
    /// The address in network order: four bytes of IPv4, or sixteen of IPv6, the first one lowest.
    private var first: UInt64
    private var second: UInt64
    private var isIPv6: Bool
    /// The client's port.
    public let port: UInt16

    /// The address in `storage`. An unknown family becomes `0.0.0.0`, port 0.
    init(_ storage: borrowing sockaddr_storage) {
        var first: UInt64 = 0
        var second: UInt64 = 0
        var port: UInt16 = 0
        let isIPv6 = Int32(storage.ss_family) == AF_INET6
        withUnsafeBytes(of: storage) { bytes in
            switch Int32(bytes.loadUnaligned(as: sa_family_t.self)) {
            case AF_INET:
                let address = bytes.loadUnaligned(as: sockaddr_in.self)
                first = UInt64(address.sin_addr.s_addr)
                port = UInt16(bigEndian: address.sin_port)
            case AF_INET6:
                let address = bytes.loadUnaligned(as: sockaddr_in6.self)
                (first, second) = withUnsafeBytes(of: address.sin6_addr) {
                    ($0.loadUnaligned(as: UInt64.self), $0.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                }
                port = UInt16(bigEndian: address.sin6_port)
            default: break
            }
        }
        self.first = first
        self.second = second
        self.isIPv6 = isIPv6
        self.port = port
    }

    /// The IP address as text, without brackets.
    public var host: String {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(INET6_ADDRSTRLEN)) { text in
            var bytes = (first, second)
            guard let base = text.baseAddress,
                inet_ntop(isIPv6 ? AF_INET6 : AF_INET, &bytes, base, socklen_t(text.count)) != nil
            else { return "" }
            return String(cString: base)
        }
    }

    /// `192.0.2.1:49152`, `[2001:db8::1]:49152`
    public var description: String { isIPv6 ? "[\(host)]:\(port)" : "\(host):\(port)" }
}
