import Glibc

/// A loopback address that drops SYNs, as one behind a firewall or of a machine that is off: a listener whose queue is full.
package final class DeadAddress: Sendable {
    package let address: String
    private let descriptors: [Int32]

    /// On an address that nobody else uses, and the port of the database that is not there.
    package init(port: UInt16) throws {
        let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let listener = socket(AF_INET, type, 0)
        var bound: LoopbackAddress?
        for _ in 0..<50 where bound == nil {
            let candidate = LoopbackAddress(127, 77, .random(in: 0...255), .random(in: 1...254))
            if candidate.with(port, { bind(listener, $0, $1) == 0 }), listen(listener, 0) == 0 { bound = candidate }
        }
        guard let bound else {
            close(listener)
            throw SandboxError(.service, "cannot listen on \(port): \(String(cString: strerror(errno)))")
        }
        address = bound.description
        // The queue has room for one; the others make sure.
        descriptors =
            [listener]
            + (0..<3).map { _ in
                let filler = socket(AF_INET, type | Int32(SOCK_NONBLOCK.rawValue), 0)
                _ = bound.with(port) { connect(filler, $0, $1) }
                return filler
            }
    }

    deinit { for descriptor in descriptors { close(descriptor) } }
}
