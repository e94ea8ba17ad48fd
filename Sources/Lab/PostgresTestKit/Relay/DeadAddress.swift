import Glibc

/// An address that never answers, like that of a machine that is switched off.
///
/// It is a listener that never accepts and whose queue is full: the kernel drops every further SYN. That needs neither
/// a firewall nor privileges.
package final class DeadAddress: Sendable {
    package let address: String
    package let port: UInt16
    private let descriptors: [Int32]

    private static let type =
        Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)

    /// Takes an unused address and the port of the missing database.
    package convenience init(port: UInt16) throws {
        var failure: (any Error)?
        for _ in 0..<50 {
            do {
                try self.init(on: IPv4Address(127, 77, .random(in: 0...255), .random(in: 1...254)), port: port)
                return
            } catch { failure = error }
        }
        throw failure ?? SandboxError(.service, "no dead address is available")
    }

    /// Takes a free port by default.
    package init(on address: IPv4Address = .loopback, port wanted: UInt16? = nil) throws {
        let port = try wanted ?? PortReservation.unreserved()
        let listener = socket(AF_INET, Self.type, 0)
        guard address.with(port, { bind(listener, $0, $1) == 0 }), listen(listener, 0) == 0 else {
            let reason = SandboxError.systemMessage
            close(listener)
            throw SandboxError(.service, "no dead address is available on \(address):\(port): \(reason)")
        }
        // The queue holds one more than listen(2) says. Connects that do not fit retry, and keep it full.
        let fillers = (0..<4).map { _ in
            let filler = socket(AF_INET, Self.type, 0)
            _ = address.with(port) { connect(filler, $0, $1) }
            return filler
        }
        descriptors = fillers + [listener]
        self.address = address.description
        self.port = port
    }

    deinit { for descriptor in descriptors { close(descriptor) } }
}
