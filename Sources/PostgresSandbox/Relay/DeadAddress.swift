import Glibc

/// An address that does not answer at all, as that of a machine which is switched off: whoever connects never hears of it.
///
/// A listener whose queue is full, and which never accepts: the kernel drops every further SYN. That takes no firewall and
/// no right.
final class DeadAddress: Sendable {
    let port: UInt16
    private let descriptor: Int32
    private let fillers: [Int32]

    /// On a free port, or on the one that is named.
    init(on address: LoopbackAddress = .standard, port wanted: UInt16? = nil) throws {
        let port = try wanted ?? PortReservation.unreserved()
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
        let descriptor = socket(AF_INET, type, 0)
        guard address.with(port, { bind(descriptor, $0, $1) == 0 }), listen(descriptor, 0) == 0 else {
            let reason = String(cString: strerror(errno))
            close(descriptor)
            throw SandboxError(.service, "no dead address can be had on \(address):\(port): \(reason)")
        }
        // The queue takes one more than listen(2) was told; what does not get in goes on trying, and keeps it full.
        fillers = (0..<4).map { _ in
            let filler = socket(AF_INET, type, 0)
            _ = address.with(port) { connect(filler, $0, $1) }
            return filler
        }
        self.descriptor = descriptor
        self.port = port
    }

    deinit {
        for filler in fillers { close(filler) }
        close(descriptor)
    }
}
