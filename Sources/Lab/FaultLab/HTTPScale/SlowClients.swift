import DispatchLoop
import Dispatch
import Glibc
package import PostgresTestKit

/// Clients that are slow in one way, and would be for ever: how long does the server put up with them?
package final class SlowClients: Sendable {
    /// In what a client is slow.
    package enum Kind: String, Sendable, CaseIterable {
        case header = "a header byte now and then"
        case body = "a body byte now and then"
        case reader = "reading a byte now and then"

        /// What it sends first.
        var opening: String {
            switch self {
            case .header: "GET / HTTP/1.1\r\nHost: a\r\nX-Slow: "
            case .body: "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
            // Pipelined, until the server's output has nowhere to go.
            case .reader: String(repeating: "GET / HTTP/1.1\r\nHost: a\r\n\r\n", count: 200)
            }
        }
    }

    /// What came of one client.
    package struct Fate: Sendable {
        /// From its first byte to its connection's end; nil when it was still there at the end.
        package var lasted: Duration?
        /// The status with which it was told; nil when it was not.
        package var status: Int?
    }

    package let kind: Kind
    private let result = Locked<[Fate]>([])
    private let done = DispatchSemaphore(value: 0)
    private let failure = Locked<SandboxError?>(nil)

    /// Starts `count` of them on a thread of their own; each does something every `interval`, until its connection ends
    /// or `limit` has passed.
    package init(
        _ kind: Kind, of count: Int, at address: ServiceAddress, every interval: Duration = .milliseconds(250),
        for limit: Duration
    ) {
        self.kind = kind
        let (result, done, failure) = (result, done, failure)
        DispatchQueue(label: "slow crowd").async {
            defer { done.signal() }
            do {
                let round = try Round(kind, count, address)
                let deadline = Deadline(in: limit)
                // Not all at once: real slow clients do not keep time together.
                let slices = 10
                while round.hasAnybody, !deadline.hasPassed {
                    for slice in 0..<slices {
                        round.go(slice, of: slices)
                        usleep(UInt32(interval.milliseconds * 1000 / Double(slices)))
                    }
                }
                result.withLock { $0 = round.fates }
            } catch {
                failure.withLock { $0 = error as? SandboxError ?? SandboxError(.service, "\(error)") }
            }
        }
    }

    /// What came of each, once all connections have ended or the time is over.
    package func fates() async throws -> [Fate] {
        let done = self.done
        await offCooperativeThreads { done.wait() }
        done.signal()
        if let failure = failure.withLock({ $0 }) { throw failure }
        return result.withLock { $0 }
    }
}

/// The clients, as their thread sees them.
private final class Round {
    private final class Member {
        let socket: ClientSocket
        let since = ContinuousClock.now
        var fate = SlowClients.Fate()
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

    var fates: [SlowClients.Fate] { members.map(\.fate) }
    var hasAnybody: Bool { members.contains { $0.fate.lasted == nil } }

    /// Every so-manieth does its one slow thing, and looks whether it has been let go.
    func go(_ slice: Int, of slices: Int) {
        for index in stride(from: slice, to: members.count, by: slices) where members[index].fate.lasted == nil {
            let member = members[index]
            var hasEnded = kind == .reader && !ask(member)
            switch member.socket.receive(&buffer) {
            case .wouldBlock: break
            case .bytes(let count): if kind != .reader { note(count, member) }
            case .ended, .reset: hasEnded = true
            }
            if hasEnded {
                member.fate.lasted = ContinuousClock.now - member.since
            } else if kind != .reader {
                _ = member.socket.send(drop)
            }
        }
    }

    /// As many questions as find room, within reason: whose answers nobody fetches. False when the connection is gone,
    /// which reading alone would tell only behind all answers that the kernel holds.
    private func ask(_ member: Member) -> Bool {
        for _ in 0..<20 {
            let outcome = member.socket.send(opening)
            if outcome == .reset { return false }
            if outcome != .bytes(opening.count) { return true }
        }
        return true
    }

    /// `HTTP/1.1 408 …`
    private func note(_ count: Int, _ member: Member) {
        guard count >= 12, member.fate.status == nil else { return }
        member.fate.status = Int(String(decoding: buffer[9..<12], as: UTF8.self))
    }
}
