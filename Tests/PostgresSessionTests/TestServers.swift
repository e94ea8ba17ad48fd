import CLinux
import DispatchLoop
import Glibc
import PostgresTestKit

@testable import PostgresSession

/// Opens a listening socket on a loopback address.
private func makeListener(
    _ address: String, _ port: UInt16, backlog: Int32
) throws -> (descriptor: Int32, port: UInt16) {
    let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var one: Int32 = 1
    setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, socklen_t(MemoryLayout<Int32>.size))
    var name = sockaddr_in()
    name.sin_family = sa_family_t(AF_INET)
    name.sin_port = port.bigEndian
    inet_pton(AF_INET, address, &name.sin_addr)
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let isListening = withUnsafeMutablePointer(to: &name) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(descriptor, $0, length) == 0 && listen(descriptor, backlog) == 0
                && getsockname(descriptor, $0, &length) == 0
        }
    }
    guard isListening else {
        close(descriptor)
        throw SandboxError(.service, "cannot listen on \(address):\(port): \(String(cString: strerror(errno)))")
    }
    return (descriptor, UInt16(bigEndian: name.sin_port))
}

/// A loopback address that no other test uses: the kernel may hold an address for a moment after its test.
func unusedAddress() -> String {
    let number = latestAddress.withLock { number in
        number += 1
        return number
    }
    return "127.77.\(number / 250).\(number % 250 + 1)"
}

private let latestAddress = Locked(0)

/// A server that runs a script for each connection.
final class ScriptedServer: Sendable {
    let port: UInt16
    private let listener: Int32
    private let count = Locked(0)

    /// The number of accepted connections.
    var accepted: Int { count.withLock { $0 } }

    /// Runs `script` with each connection's descriptor and number, on its own thread, and then closes the connection.
    init(on address: String = "127.0.0.1", port: UInt16 = 0, _ script: @escaping @Sendable (Int32, Int) -> Void) throws
    {
        let (descriptor, port) = try makeListener(address, port, backlog: 64)
        (listener, self.port) = (descriptor, port)
        let count = count
        _ = startThread {
            while case let connection = accept(descriptor, nil, nil), connection >= 0 {
                let number = count.withLock { count in
                    count += 1
                    return count
                }
                _ = startThread {
                    script(connection, number)
                    close(connection)
                }
            }
        }
    }

    deinit {
        shutdown(listener, Int32(SHUT_RDWR))
        close(listener)
    }

    /// Reads one chunk from the client, such as a start-up packet or a request for TLS.
    @discardableResult
    static func read(_ connection: Int32) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: 4_096)
        let count = recv(connection, &buffer, buffer.count, 0)
        return Array(buffer.prefix(max(count, 0)))
    }

    static func send(_ connection: Int32, _ bytes: [UInt8]) {
        _ = Glibc.send(connection, bytes, bytes.count, Int32(MSG_NOSIGNAL))
    }

    /// An authentication request (PostgreSQL manual, 55.7).
    static func authentication(_ kind: UInt8, _ body: [UInt8]) -> [UInt8] {
        let length = UInt32(8 + body.count).bigEndian
        return [UInt8(ascii: "R")] + withUnsafeBytes(of: length) { Array($0) } + [0, 0, 0, kind] + body
    }

    /// Demands SCRAM with this number of rounds.
    static func askForRounds(_ connection: Int32, _ rounds: Int) {
        read(connection)
        send(connection, authentication(10, Array("SCRAM-SHA-256".utf8) + [0, 0]))
        let first = String(decoding: read(connection), as: UTF8.self)
        let nonce = first.split(separator: ",").last { $0.hasPrefix("r=") } ?? "r="
        send(connection, authentication(11, Array("\(nonce)server,s=c2FsdHNhbHQ=,i=\(rounds)".utf8)))
        read(connection)
    }
}
