import Dispatch
import Glibc
import PostgresTestKit

/// A server that answers each request with prepared bytes, for tests of clients against misbehaving servers.
final class StubServer: Sendable {
    /// The reaction to one request.
    enum Reaction: Sendable {
        /// Sends the pieces, if possible in separate segments.
        case send([String])
        /// Sends the pieces and closes.
        case sendAndClose([String])
        /// Sends nothing and keeps the connection.
        case silence
    }

    let port: UInt16
    private let listener: Int32

    init(_ reactions: [Reaction]) throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = withUnsafeMutablePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, length) == 0 && listen(listener, 16) == 0 && getsockname(listener, $0, &length) == 0
            }
        }
        guard isBound else { throw SandboxError(.service, "the stub cannot listen") }
        self.listener = listener
        port = UInt16(bigEndian: address.sin_port)
        DispatchQueue(label: "stub").async { Self.serve(listener, reactions) }
    }

    /// The shutdown makes the thread's `accept` fail, which ends the thread.
    deinit { shutdown(listener, Int32(SHUT_RDWR)) }

    private static func serve(_ listener: Int32, _ reactions: [Reaction]) {
        var remaining = reactions[...]
        var kept: [Int32] = []
        defer {
            for descriptor in kept + [listener] { close(descriptor) }
        }
        while true {
            let connection = accept(listener, nil, nil)
            guard connection >= 0 else { return }
            kept.append(connection)
            var isOpen = true
            while isOpen, readRequest(connection), let reaction = remaining.popFirst() {
                switch reaction {
                case .send(let pieces): send(pieces, connection)
                case .sendAndClose(let pieces):
                    send(pieces, connection)
                    close(connection)
                    kept.removeLast()
                    isOpen = false
                case .silence: isOpen = false
                }
            }
        }
    }

    private static func readRequest(_ connection: Int32) -> Bool {
        var received = ""
        var bytes = [UInt8](repeating: 0, count: 4096)
        while !received.contains("\r\n\r\n") {
            let count = recv(connection, &bytes, bytes.count, 0)
            guard count > 0 else { return false }
            received += String(decoding: bytes[..<count], as: UTF8.self)
        }
        return true
    }

    private static func send(_ pieces: [String], _ connection: Int32) {
        var one: Int32 = 1
        setsockopt(connection, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        for piece in pieces {
            let bytes = Array(piece.utf8)
            _ = Glibc.send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
            sched_yield()
        }
    }
}
