import DispatchLoop
package import PostgresTestKit

/// Clients that never finish, slow in one way, to measure when the server disconnects them.
package final class SlowClients: Sendable {
    /// The way in which the clients are slow.
    package enum Kind: String, Sendable, CaseIterable {
        case header = "a header byte now and then"
        case body = "a body byte now and then"
        case reader = "reading a byte now and then"

        /// The first bytes of a client.
        var opening: String {
            switch self {
            case .header: "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "
            case .body: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
            // Pipelined, until the server cannot write its output.
            case .reader: String(repeating: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", count: 200)
            }
        }
    }

    /// The result of one client.
    package struct Ending: Sendable {
        /// From its first byte to the end of its connection; nil if the connection outlived the measurement.
        package var lasted: Duration?
        /// The status of the server's answer; nil without one.
        package var status: Int?
    }

    package let kind: Kind
    private let result = Locked<Result<[Ending], SandboxError>>(.success([]))
    private let loop: BackgroundLoop

    /// Starts `count` clients on one thread. Each acts every `interval`, until its connection ends or `limit` has passed.
    package init(
        _ kind: Kind, of count: Int, at address: ServiceAddress, every interval: Duration = .milliseconds(250),
        for limit: Duration
    ) {
        self.kind = kind
        loop = BackgroundLoop("slow clients") { [result] _ in
            do {
                let crowd = try SlowClientCrowd(kind, count, address)
                let deadline = Deadline(in: limit)
                // In slices, because real slow clients are not synchronised.
                let slices = 10
                while crowd.isConnected, !deadline.hasPassed {
                    for slice in 0..<slices {
                        crowd.act(slice, of: slices)
                        sleepThread(for: interval / slices)
                    }
                }
                result.withLock { $0 = .success(crowd.endings) }
            } catch {
                result.withLock { $0 = .failure(error as? SandboxError ?? SandboxError(.service, "\(error)")) }
            }
        }
    }

    /// Waits until all connections have ended or the time is over.
    package func endings() async throws -> [Ending] {
        await loop.waitForEnd()
        return try result.withLock { $0 }.get()
    }
}

/// The clients' state on their thread.
private final class SlowClientCrowd {
    private final class Member {
        let socket: ClientSocket
        let since = ContinuousClock.now
        var ending = SlowClients.Ending()
        init(_ socket: consuming ClientSocket) { self.socket = socket }
    }

    private let kind: SlowClients.Kind
    private var members: [Member] = []
    private let opening: [UInt8]
    private let drop: [UInt8] = [UInt8(ascii: "x")]
    private var buffer: [UInt8]

    init(_ kind: SlowClients.Kind, _ count: Int, _ address: ServiceAddress) throws {
        self.kind = kind
        opening = Array(kind.opening.utf8)
        buffer = [UInt8](repeating: 0, count: kind == .reader ? 1 : 4096)
        for number in 0..<count {
            let socket = try ClientSocket(to: address, number: number, isNarrow: kind == .reader)
            _ = socket.send(opening)
            members.append(Member(socket))
        }
    }

    var endings: [SlowClients.Ending] { members.map(\.ending) }
    var isConnected: Bool { members.contains { $0.ending.lasted == nil } }

    /// Lets one slice of the clients act, and checks their connections.
    func act(_ slice: Int, of slices: Int) {
        for index in stride(from: slice, to: members.count, by: slices) where members[index].ending.lasted == nil {
            let member = members[index]
            var hasEnded = kind == .reader && !sendRequests(member)
            switch member.socket.receive(&buffer) {
            case .wouldBlock: break
            case .bytes(let count): if kind != .reader { note(count, member) }
            case .ended, .reset: hasEnded = true
            }
            if hasEnded {
                member.ending.lasted = ContinuousClock.now - member.since
            } else if kind != .reader {
                _ = member.socket.send(drop)
            }
        }
    }

    /// Sends requests until the socket is full, at most 20 batches. False if the connection was reset; a read would
    /// report that only after all answers in the kernel's buffer.
    private func sendRequests(_ member: Member) -> Bool {
        for _ in 0..<20 {
            let result = member.socket.send(opening)
            if result == .reset { return false }
            if result != .bytes(opening.count) { return true }
        }
        return true
    }

    /// Reads `HTTP/1.1 408 …`.
    private func note(_ count: Int, _ member: Member) {
        guard count >= 12, member.ending.status == nil else { return }
        member.ending.status = Int(String(decoding: buffer[9..<12], as: UTF8.self))
    }
}
