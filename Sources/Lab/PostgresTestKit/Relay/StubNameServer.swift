import DispatchLoop
import Glibc

/// A name server for one name, on its own address in 127.0.0.0/8. A test chooses whether it resolves, fails or stays
/// silent. Port 53 needs root.
package final class StubNameServer: Sendable {
    /// The result of a query.
    package enum Resolution: Sendable, Equatable {
        /// These IPv4 addresses, in this order, with a time to live of zero.
        case addresses([[UInt8]])
        /// SERVFAIL.
        case failure
        case silence
    }

    package let address: String
    private let resolution: Locked<Resolution>
    private let loop: BackgroundLoop

    package init(resolving initial: Resolution) throws {
        let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_INET, type, 0)
        // Several may run at a time, each on its own address.
        var bound: IPv4Address?
        for _ in 0..<50 where bound == nil {
            let candidate = IPv4Address(127, 53, .random(in: 1...254), .random(in: 1...254))
            if candidate.with(53, { bind(descriptor, $0, $1) == 0 }) { bound = candidate }
        }
        guard let bound else {
            let reason = SandboxError.systemMessage
            close(descriptor)
            throw SandboxError(.service, "no name server can listen on port 53: \(reason)")
        }
        address = bound.description
        resolution = Locked(initial)
        var limit = timeval(tv_sec: 0, tv_usec: 50_000)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        loop = BackgroundLoop("name server \(address)") { [descriptor, resolution] isStopped in
            var bytes = [UInt8](repeating: 0, count: 1500)
            while !isStopped() { Self.serveOne(descriptor, &bytes, resolution) }
            close(descriptor)
        }
    }

    deinit { loop.requestStop() }

    /// Changes the result of later queries.
    package func resolve(to resolution: Resolution) { self.resolution.withLock { $0 = resolution } }

    package func shutDown() async { await loop.stop() }

    private static func serveOne(_ descriptor: Int32, _ bytes: inout [UInt8], _ resolution: Locked<Resolution>) {
        var peer = sockaddr_storage()
        var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
        withUnsafeMutablePointer(to: &peer) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                let count = recvfrom(descriptor, &bytes, bytes.count, 0, address, &length)
                guard count > 0, let reply = reply(to: bytes[..<count], resolution.withLock { $0 }) else { return }
                _ = sendto(descriptor, reply, reply.count, 0, address, length)
            }
        }
    }

    /// The reply to a query (RFC 1035 §4.1); nil for none.
    package static func reply(to query: ArraySlice<UInt8>, _ resolution: Resolution) -> [UInt8]? {
        let bytes = Array(query)
        guard resolution != .silence, bytes.count > 12 else { return nil }
        // The question: labels, each preceded by its length, a zero, the type and the class.
        var end = 12
        while end < bytes.count, bytes[end] != 0 { end += Int(bytes[end]) + 1 }
        end += 5
        guard end <= bytes.count else { return nil }
        let isForIPv4 = bytes[end - 3] == 1
        var records: [[UInt8]] = []
        if isForIPv4, case .addresses(let all) = resolution { records = all }
        // A pointer to the question's name, A, IN, a time to live of zero, four bytes.
        let head: [UInt8] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]
        let addresses = records.flatMap { address in head + address }
        let code: UInt8 = resolution == .failure ? 2 : 0
        let header = bytes[..<2] + [0x81, 0x80 | code, 0, 1, 0, UInt8(records.count), 0, 0, 0, 0]
        return header + bytes[12..<end] + addresses
    }
}
