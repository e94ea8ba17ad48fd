import Dispatch
import DispatchLoop
import Glibc
import Logging

/// Writes lines to a descriptor on its own queue, so that a slow log reader cannot block the event loop.
///
/// Drops and counts lines that do not fit, and logs their number once space is free.
package final class LogSink: Sendable {
    private struct Pending {
        var bytes: [UInt8] = []
        var dropped = 0
        var isWriting = false
    }

    private let descriptor: Int32
    private let capacity: Int
    private let format: LineLogHandler.Format
    private let queue = DispatchQueue(label: "daruma.log", qos: .utility)
    private let pending = Locked(Pending())

    /// - Parameters:
    ///   - capacity: the maximum number of unwritten bytes.
    ///   - format: the format of the sink's own lines.
    package init(
        descriptor: Int32 = STDERR_FILENO, capacity: Int = 256 << 10, format: LineLogHandler.Format = .text
    ) {
        self.format = format
        self.descriptor = descriptor
        self.capacity = capacity
    }

    /// Writes a line and a newline. Never blocks.
    package func write(_ line: String) {
        write(line.utf8)
    }

    /// Writes a line and a newline. Never blocks.
    package func write(_ line: some Collection<UInt8>) {
        let mustStart = pending.withLock { pending -> Bool in
            guard pending.bytes.count + line.count < capacity else {
                pending.dropped += 1
                return false
            }
            pending.bytes.append(contentsOf: line)
            pending.bytes.append(UInt8(ascii: "\n"))
            defer { pending.isWriting = true }
            return !pending.isWriting
        }
        if mustStart { queue.async { self.drain() } }
    }

    /// Waits up to `timeout` until the lines so far are written.
    package func flush(timeout: Duration) {
        let done = DispatchSemaphore(value: 0)
        queue.async { done.signal() }
        _ = done.wait(timeout: .now() + .nanoseconds(Int(timeout.nanoseconds)))
    }

    private func drain() {
        while true {
            let bytes = pending.withLock { pending -> [UInt8] in
                var bytes: [UInt8] = []
                swap(&bytes, &pending.bytes)
                if pending.dropped > 0 {
                    bytes.append(contentsOf: dropNotice(pending.dropped).utf8)
                    pending.dropped = 0
                }
                if bytes.isEmpty { pending.isWriting = false }
                return bytes
            }
            if bytes.isEmpty { return }
            writeAll(bytes)
        }
    }

    private func dropNotice(_ count: Int) -> String {
        var timestamp = Timestamp()
        return LineLogHandler(label: "daruma", format: format, level: .warning, sink: self).line(
            .warning, "dropped \(count) log lines: the reader is too slow", [("count", .integer(count))],
            time: String(decoding: timestamp.now(), as: UTF8.self)) + "\n"
    }

    private func writeAll(_ bytes: [UInt8]) {
        var written = 0
        bytes.withUnsafeBytes { buffer in
            while written < buffer.count {
                let count = Glibc.write(descriptor, buffer.baseAddress?.advanced(by: written), buffer.count - written)
                if count > 0 {
                    written += count
                } else if errno == EAGAIN {
                    var event = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                    poll(&event, 1, -1)
                } else if errno != EINTR {
                    return  // The reader is gone for good.
                }
            }
        }
    }
}
