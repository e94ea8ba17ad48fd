package import Glibc

/// An IPv4 address. With a port it becomes the `sockaddr` that system calls take.
package struct IPv4Address: Sendable, CustomStringConvertible {
    /// In host byte order.
    private let value: UInt32

    package init(_ value: UInt32) { self.value = value }

    package init(_ first: UInt8, _ second: UInt8, _ third: UInt8, _ fourth: UInt8) {
        value = [first, second, third, fourth].reduce(0) { $0 << 8 | UInt32($1) }
    }

    /// Reads `127.0.0.1` or `localhost`.
    package init?(_ text: String) {
        var address = in_addr()
        guard inet_pton(AF_INET, text == "localhost" ? "127.0.0.1" : text, &address) == 1 else { return nil }
        value = UInt32(bigEndian: address.s_addr)
    }

    package static let loopback = IPv4Address(127, 0, 0, 1)

    package var description: String { [24, 16, 8, 0].map { "\(value >> $0 & 0xff)" }.joined(separator: ".") }

    package func with<Result>(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = value.bigEndian
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
