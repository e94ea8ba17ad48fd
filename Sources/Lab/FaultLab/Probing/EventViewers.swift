import DispatchLoop
import Glibc
package import PostgresTestKit

/// Many clients of one event stream on one thread, which leaves the processor to the service. Blocks its thread.
package final class EventViewers: Sendable {
    package struct Viewer: Sendable {
        /// All received bytes, including head and framing; empty without `keepsBytes`.
        package fileprivate(set) var bytes: [UInt8] = []
        package fileprivate(set) var byteCount = 0
        /// The number of complete events.
        package fileprivate(set) var events = 0
        package fileprivate(set) var hasEnded = false
        fileprivate var endsWithNewline = false

        /// The status of the answer, if it has arrived.
        package var status: Int? {
            let words = String(decoding: bytes.prefix(16), as: UTF8.self).split(separator: " ")
            return words.count > 1 ? Int(words[1]) : nil
        }

        fileprivate mutating func take(_ piece: [UInt8], keepsBytes: Bool) {
            byteCount += piece.count
            // An event ends with an empty line.
            piece.withUnsafeBytes { buffer in
                guard let base = buffer.baseAddress else { return }
                var next = 0
                while next < buffer.count, let found = memchr(base + next, 0x0A, buffer.count - next) {
                    let position = found - UnsafeMutableRawPointer(mutating: base)
                    if position == 0 ? endsWithNewline : buffer[position - 1] == 0x0A { events += 1 }
                    next = position + 1
                }
                endsWithNewline = buffer[buffer.count - 1] == 0x0A
            }
            if keepsBytes { bytes += piece }
        }
    }

    private let all: Locked<[Viewer]>
    private let sockets: [DeadlineSocket]
    private let keepsBytes: Bool

    /// Connects all clients and requests `path`.
    package init(
        count: Int, host: String = "127.0.0.1", port: UInt16, path: String = "/events", keepsBytes: Bool = true,
        deadline: Deadline
    ) throws {
        let request = Array("GET \(path) HTTP/1.1\r\nHost: \(host):\(port)\r\nAccept: text/event-stream\r\n\r\n".utf8)
        sockets = try (0..<count).map { _ in
            let socket = try DeadlineSocket(host: host, port: port, deadline: deadline)
            try socket.send(request, deadline: deadline)
            return socket
        }
        all = Locked(Array(repeating: Viewer(), count: count))
        self.keepsBytes = keepsBytes
    }

    package var viewers: [Viewer] { all.withLock { $0 } }

    /// Reads from all clients until `isDone` or the deadline. False if the deadline passed first.
    @discardableResult
    package func watch(_ deadline: Deadline, until isDone: ([Viewer]) -> Bool = { _ in false }) -> Bool {
        while !all.withLock({ isDone($0) }) {
            guard !deadline.hasPassed else { return false }
            // poll ignores negative descriptors.
            var entries = zip(sockets, viewers).map { socket, viewer in
                pollfd(fd: viewer.hasEnded ? -1 : socket.descriptor, events: Int16(POLLIN), revents: 0)
            }
            let wait = min(deadline.remaining.fractionalMilliseconds.rounded(.up), 100)
            guard poll(&entries, nfds_t(entries.count), Int32(wait)) > 0 else { continue }
            for index in entries.indices where entries[index].revents != 0 { read(index) }
        }
        return true
    }

    private func read(_ index: Int) {
        do throws(DeadlineSocket.Failure) {
            let piece = try sockets[index].receive(limit: 32_768, deadline: Deadline(in: .milliseconds(1)))
            all.withLock { $0[index].take(piece, keepsBytes: keepsBytes) }
        } catch {
            if error != .timedOut { all.withLock { $0[index].hasEnded = true } }
        }
    }
}
