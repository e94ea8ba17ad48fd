import CLinux
import Dispatch
import DispatchLoop
import Glibc

/// A blocking client with a deadline on every call. Used off the loop, inside `offLoop`.
final class TestClient: Sendable {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    struct Reply: Equatable, Sendable {
        var status: Int
        var fields: [String: String]
        var body: String
    }

    let descriptor: Int32
    private let buffer = Locked<[UInt8]>([])
    private let isClosed = Locked(false)

    convenience init(port: UInt16, ipv6: Bool = false, receiveBuffer: Int32? = nil) throws {
        let type = Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue)
        try self.init(
            adopting: socket(ipv6 ? AF_INET6 : AF_INET, type, 0), port: port, ipv6: ipv6, receiveBuffer: receiveBuffer)
    }

    /// A client that has received one response and keeps its connection.
    static func afterOneAnswer(port: UInt16) throws -> TestClient {
        let client = try TestClient(port: port)
        try client.send(ConversationTests.get)
        _ = try client.reply()
        return client
    }

    /// Connects an existing socket.
    init(adopting socket: Int32, port: UInt16, ipv6: Bool = false, receiveBuffer: Int32? = nil) throws {
        descriptor = socket
        guard descriptor >= 0 else { throw Failure(description: "socket: errno \(errno)") }
        if var size = receiveBuffer {
            setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
        }
        var timeout = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        var one: Int32 = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
        let result: Int32
        if ipv6 {
            var address = sockaddr_in6()
            address.sin6_family = sa_family_t(AF_INET6)
            address.sin6_port = port.bigEndian
            address.sin6_addr = in6addr_loopback
            result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { [descriptor] in
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in6>.size))
                }
            }
        } else {
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = port.bigEndian
            address.sin_addr.s_addr = in_addr_t(0x7F00_0001).bigEndian
            result = withUnsafePointer(to: &address) {
                $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { [descriptor] in
                    connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
        }
        guard result == 0 else { throw Failure(description: "connect: errno \(errno)") }
    }

    deinit { close() }

    func close() {
        let wasClosed = isClosed.withLock { isClosed in
            defer { isClosed = true }
            return isClosed
        }
        if !wasClosed { Glibc.close(descriptor) }
    }

    /// Closes with a reset instead of an orderly end.
    func reset() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
        close()
    }

    /// Makes the kernel drop everything for this socket without acknowledgement, as if the machine had vanished.
    func dropEverything() {
        // `struct sock_fprog` with one instruction, `return 0`: keep no byte of the packet.
        struct Program {
            var length: UInt16
            var instructions: UnsafeMutableRawPointer?
        }
        var instruction: [UInt16] = [6, 0, 0, 0]
        instruction.withUnsafeMutableBytes { bytes in
            var program = Program(length: 1, instructions: bytes.baseAddress)
            setsockopt(
                descriptor, SOL_SOCKET, SO_ATTACH_FILTER, &program, socklen_t(MemoryLayout<Program>.size))
        }
    }

    func endWriting() { shutdown(descriptor, Int32(SHUT_WR)) }

    func send(_ text: String) throws { try send(Array(text.utf8)) }

    func send(_ bytes: [UInt8]) throws {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
            }
            guard count > 0 else { throw Failure(description: "send: errno \(errno)") }
            sent += count
        }
    }

    /// Reads once more; `false` at the end.
    private func fill(_ received: inout [UInt8]) throws -> Bool {
        var chunk = [UInt8](repeating: 0, count: 65_536)
        let count = recv(descriptor, &chunk, chunk.count, 0)
        guard count >= 0 else { throw Failure(description: "recv: errno \(errno)") }
        received += chunk[..<count]
        return count > 0
    }

    /// The next response.
    func reply(toHead: Bool = false) throws -> Reply {
        try buffer.withLock { try reply(&$0, toHead: toHead) }
    }

    private func reply(_ received: inout [UInt8], toHead: Bool) throws -> Reply {
        var end = 0
        while true {
            if let found = Self.headEnd(received) {
                end = found
                break
            }
            guard try fill(&received) else { throw Failure(description: "the connection ended before a response") }
        }
        let lines = String(decoding: received[..<end], as: UTF8.self).split(separator: "\r\n")
        let status = lines.first?.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            let parts = line.split(separator: ":", maxSplits: 1)
            fields[parts[0].lowercased()] = parts.count > 1 ? String(parts[1].dropFirst()) : ""
        }
        let length = toHead || status == 204 || status < 200 ? 0 : fields["content-length"].flatMap { Int($0) } ?? 0
        while received.count < end + length {
            guard try fill(&received) else { throw Failure(description: "the connection ended within a response") }
        }
        let body = String(decoding: received[end..<(end + length)], as: UTF8.self)
        received.removeFirst(end + length)
        return Reply(status: status, fields: fields, body: body)
    }

    private static func headEnd(_ bytes: [UInt8]) -> Int? {
        guard bytes.count >= 4 else { return nil }
        for index in 0...(bytes.count - 4) where bytes[index..<(index + 4)].elementsEqual([13, 10, 13, 10]) {
            return index + 4
        }
        return nil
    }

    /// Reads up to and including `mark`.
    func read(through mark: String) throws -> String {
        try buffer.withLock { received in
            let mark = Array(mark.utf8)
            var searched = 0
            while true {
                while searched + mark.count <= received.count {
                    if received[searched] == mark[0], received[searched...].starts(with: mark) {
                        let end = searched + mark.count
                        defer { received.removeFirst(end) }
                        return String(decoding: received[..<end], as: UTF8.self)
                    }
                    searched += 1
                }
                guard try fill(&received) else { throw Failure(description: "the connection ended before \(mark)") }
            }
        }
    }

    /// Reads until the end of the connection.
    func rest() throws -> String {
        try buffer.withLock { received in
            while try fill(&received) {}
            defer { received = [] }
            return String(decoding: received, as: UTF8.self)
        }
    }

    /// Whether the server has closed the connection without a reset and without further bytes.
    func isEnded() throws -> Bool {
        try buffer.withLock { received in
            if !received.isEmpty { return false }
            return try !fill(&received)
        }
    }
}

/// Runs blocking code on its own thread, so that it blocks neither the loop nor the cooperative pool.
func offLoop<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
    try await withCheckedThrowingContinuation { continuation in
        DispatchQueue(label: "test.client").async {
            continuation.resume(with: Result { try body() })
        }
    }
}
