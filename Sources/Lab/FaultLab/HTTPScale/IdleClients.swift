import DispatchLoop
import Glibc
import PostgresTestKit

/// Clients that send one request, and then keep their idle connections.
final class IdleClients: Sendable {
    private let members: Locked<[Member]>

    /// A class, because arrays cannot hold noncopyable values.
    private final class Member: Sendable {
        let socket: ClientSocket
        init(_ socket: consuming ClientSocket) { self.socket = socket }
    }

    /// Connects `count` clients, and waits for their answers. Blocks its thread.
    init(of count: Int, at address: ServiceAddress, within limit: Duration = .seconds(60)) throws {
        let deadline = Deadline(in: limit)
        let request = Array("GET / HTTP/1.1\r\nHost: \(address.host)\r\n\r\n".utf8)
        var members: [Member] = []
        members.reserveCapacity(count)
        // 100 at a time, so that the server's backlog never fills.
        while members.count < count {
            let first = members.count
            for number in first..<min(first + 100, count) {
                let socket = try ClientSocket(to: address, number: number)
                guard socket.send(request) == .bytes(request.count) else {
                    throw SandboxError(.service, "client \(number) could not send its request")
                }
                members.append(Member(socket))
            }
            for member in members[first...] { try Self.awaitAnswer(member, deadline) }
        }
        self.members = Locked(members)
    }

    private static func awaitAnswer(_ member: Member, _ deadline: Deadline) throws {
        var buffer = [UInt8](repeating: 0, count: 1024)
        while true {
            switch member.socket.receive(&buffer) {
            case .bytes(let count) where String(decoding: buffer[..<count], as: UTF8.self).hasPrefix("HTTP/1.1 200 "):
                return
            case .wouldBlock where !deadline.hasPassed: usleep(200)
            case let result: throw SandboxError(.service, "a client got no answer: \(result)")
            }
        }
    }

    /// The number of connections that the server has closed.
    func countClosed() -> Int {
        var buffer = [UInt8](repeating: 0, count: 1024)
        return members.withLock { $0.count { $0.socket.receive(&buffer) != .wouldBlock } }
    }

    /// Closes all connections.
    func close() { members.withLock { $0 = [] } }
}
