/// One address of one server of the configuration. Identifies it across attempts.
package struct ConnectTarget: Hashable, Sendable {
    /// The server's index in ``ConnectionConfiguration/servers``.
    package let server: Int
    /// A numeric address; `nil` for a Unix socket.
    package let address: String?

    package init(server: Int, address: String?) {
        self.server = server
        self.address = address
    }

    /// Whether it is an IPv6 address.
    var isIPv6: Bool { address?.utf8.contains(UInt8(ascii: ":")) ?? false }
}
