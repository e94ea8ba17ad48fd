/// The address that a service listens on.
package struct ServiceAddress: Sendable, CustomStringConvertible {
    package let host: String
    package let port: UInt16

    package init(host: String = "127.0.0.1", port: UInt16) {
        self.host = host
        self.port = port
    }

    /// `http://127.0.0.1:8080`, `localhost:8080` or `8080`.
    package init?(_ text: String) {
        var rest = text[...]
        if let scheme = rest.firstRange(of: "http://") { rest = rest[scheme.upperBound...] }
        rest = rest.prefix { $0 != "/" }
        let parts = rest.split(separator: ":", omittingEmptySubsequences: false)
        guard let last = parts.last, let port = UInt16(last), parts.count <= 2 else { return nil }
        self.init(host: parts.count == 2 ? String(parts[0]) : "127.0.0.1", port: port)
    }

    package var description: String { "http://\(host):\(port)" }
}
