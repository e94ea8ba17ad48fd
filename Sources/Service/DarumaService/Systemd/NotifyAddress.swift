package import Glibc

/// The address of systemd's notification socket: a path, or a name in the abstract namespace, which begins with `@`
/// (`sd_notify(3)`).
package struct NotifyAddress: Sendable, Equatable {
    /// The content of `sockaddr_un` without a terminator. An abstract name begins with a zero.
    private let bytes: [UInt8]

    /// The capacity of `sockaddr_un` less a terminator (`unix(7)`).
    private static let mostBytes = MemoryLayout.size(ofValue: sockaddr_un().sun_path) - 1

    package init(_ text: String) throws(SettingError) {
        guard text.hasPrefix("/") || text.hasPrefix("@"), text.utf8.count > 1 else {
            throw SettingError(
                source: "NOTIFY_SOCKET", problem: "'\(text)' is neither a path nor an abstract name with @")
        }
        guard text.utf8.count <= Self.mostBytes else {
            throw SettingError(source: "NOTIFY_SOCKET", problem: "longer than \(Self.mostBytes) bytes")
        }
        bytes = (text.hasPrefix("@") ? [0] : [text.utf8.first ?? 0]) + text.utf8.dropFirst()
    }

    /// Passes the address to a system call.
    package func withSockAddr<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: bytes) }
        // The length delimits an abstract name, a terminator delimits a path.
        let isAbstract = bytes.first == 0
        let length = MemoryLayout<sa_family_t>.size + bytes.count + (isAbstract ? 0 : 1)
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(length)) }
        }
    }
}
