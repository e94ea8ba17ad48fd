import Glibc

/// An address that does not answer at all, as that of a machine which is switched off: whoever connects never hears of it.
///
/// A listener whose queue is full, and which never accepts: the kernel drops every further SYN. That takes no firewall and
/// no right.
package final class DeadAddress: Sendable {
    package let address: String
    package let port: UInt16
    private let descriptors: [Int32]

    private static let type =
        Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)

    /// On an address that nobody else uses, and the port of the database that is not there.
    package convenience init(port: UInt16) throws {
        var failure: (any Error)?
        for _ in 0..<50 {
            do {
                try self.init(on: LoopbackAddress(127, 77, .random(in: 0...255), .random(in: 1...254)), port: port)
                return
            } catch { failure = error }
        }
        throw failure ?? SandboxError(.service, "no dead address can be had")
    }

    /// On a free port, or on the one that is named.
    package init(on address: LoopbackAddress = .standard, port wanted: UInt16? = nil) throws {
        let port = try wanted ?? PortReservation.unreserved()
        let listener = socket(AF_INET, Self.type, 0)
        guard address.with(port, { bind(listener, $0, $1) == 0 }), listen(listener, 0) == 0 else {
            let reason = String(cString: strerror(errno))
            close(listener)
            throw SandboxError(.service, "no dead address can be had on \(address):\(port): \(reason)")
        }
        // The queue takes one more than listen(2) was told; what does not get in goes on trying, and keeps it full.
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
