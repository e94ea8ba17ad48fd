import DispatchLoop
import Dispatch
import Glibc

/// A name server for one name, on an address of its own in 127.0.0.0/8, that can be told to be silent, to
/// fail or to name another address. Port 53 is root's.
package final class StubNameServer: Sendable {
    /// What a question is answered with.
    package enum Answer: Sendable, Equatable {
        /// This IPv4 address, to be kept by nobody.
        case address([UInt8])
        /// These IPv4 addresses, in this order.
        case addresses([[UInt8]])
        /// SERVFAIL.
        case failure
        case silence
    }

    package let address: String
    private let descriptor: Int32
    private let state: Locked<(answer: Answer, isClosed: Bool)>
    private let done = DispatchSemaphore(value: 0)

    package init(answering answer: Answer) throws {
        let type = Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
        let descriptor = socket(AF_INET, type, 0)
        // Another one may run beside this one: each takes an address of its own.
        var bound: LoopbackAddress?
        for _ in 0..<50 where bound == nil {
            let candidate = LoopbackAddress(127, 53, .random(in: 1...254), .random(in: 1...254))
            if candidate.with(53, { bind(descriptor, $0, $1) == 0 }) { bound = candidate }
        }
        guard let bound else {
            let reason = String(cString: strerror(errno))
            close(descriptor)
            throw SandboxError(.service, "a name server cannot be had on port 53: \(reason)")
        }
        self.descriptor = descriptor
        address = bound.description
        state = Locked((answer, false))
        var limit = timeval(tv_sec: 0, tv_usec: 50_000)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        DispatchQueue(label: "name server \(address)").async { [descriptor, state, done] in
            Self.serve(descriptor, state)
            close(descriptor)
            done.signal()
        }
    }

    /// For questions from now on.
    package func answer(_ answer: Answer) { state.withLock { $0.answer = answer } }

    package func shutDown() async {
        state.withLock { $0.isClosed = true }
        let done = self.done
        await offCooperativeThreads {
            done.wait()
            done.signal()  // for whoever asks again
        }
    }

    private static func serve(_ descriptor: Int32, _ state: Locked<(answer: Answer, isClosed: Bool)>) {
        var bytes = [UInt8](repeating: 0, count: 1500)
        while !state.withLock({ $0.isClosed }) {
            var peer = sockaddr_storage()
            var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
            withUnsafeMutablePointer(to: &peer) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    let count = recvfrom(descriptor, &bytes, bytes.count, 0, address, &length)
                    guard count > 0, let reply = reply(to: bytes[..<count], state.withLock { $0.answer }) else {
                        return
                    }
                    _ = sendto(descriptor, reply, reply.count, 0, address, length)
                }
            }
        }
    }

    /// The whole answer to a question, or nil for none (RFC 1035 §4.1).
    package static func reply(to question: ArraySlice<UInt8>, _ answer: Answer) -> [UInt8]? {
        let bytes = Array(question)
        guard answer != .silence, bytes.count > 12 else { return nil }
        // The one question: labels, each after its length, then a zero, the type and the class.
        var end = 12
        while end < bytes.count, bytes[end] != 0 { end += Int(bytes[end]) + 1 }
        end += 5
        guard end <= bytes.count else { return nil }
        let isForIPv4 = bytes[end - 3] == 1
        let named: [[UInt8]] =
            switch answer {
            case .address(let four): [four]
            case .addresses(let all): all
            case .failure, .silence: []
            }
        let records = isForIPv4 ? named : []
        // A pointer to the question's name, A, IN, a time to live of zero, four bytes.
        let head: [UInt8] = [0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]
        let addresses = records.flatMap { address in head + address }
        let code: UInt8 = answer == .failure ? 2 : 0
        let header = bytes[..<2] + [0x81, 0x80 | code, 0, 1, 0, UInt8(records.count), 0, 0, 0, 0]
        return header + bytes[12..<end] + addresses
    }
}
