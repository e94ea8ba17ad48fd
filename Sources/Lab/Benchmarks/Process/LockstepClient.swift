import PostgresTestKit

/// A client that sends a batch of requests and waits for all answers before the next one, so that each run makes the
/// server do the same work. Blocks its thread.
package final class LockstepClient {
    private let socket: DeadlineSocket
    private let request: [UInt8]
    private let path: String
    private let limit: Duration

    package init(port: UInt16, path: String, limit: Duration = .seconds(30)) throws {
        socket = try DeadlineSocket(host: "127.0.0.1", port: port, deadline: Deadline(in: limit))
        request = Array("GET \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\n\r\n".utf8)
        self.path = path
        self.limit = limit
    }

    /// Sends `count` requests, `depth` at a time. Throws if an answer is not 200.
    package func send(_ count: Int, depth: Int = 1) throws {
        guard count > 0 else { return }
        let length = try exchange()
        let batch = Array(repeatElement(request, count: depth).joined())
        var left = count - 1
        while left > 0 {
            let size = min(depth, left)
            let deadline = Deadline(in: limit)
            try socket.send(size == depth ? batch : Array(batch.prefix(size * request.count)), deadline: deadline)
            var missing = size * length
            while missing > 0 {
                let bytes = try socket.receive(deadline: deadline)
                missing -= bytes.count
            }
            guard missing == 0 else { throw unexpected("answers differ in length from the first") }
            left -= size
        }
    }

    /// Sends one request, and returns the length of its answer.
    private func exchange() throws -> Int {
        let deadline = Deadline(in: limit)
        try socket.send(request, deadline: deadline)
        var bytes: [UInt8] = []
        while true {
            bytes += try socket.receive(deadline: deadline)
            guard let length = Self.length(of: String(decoding: bytes, as: UTF8.self)) else { continue }
            guard bytes.starts(with: Array("HTTP/1.1 200".utf8)) else {
                throw unexpected(String(decoding: bytes, as: UTF8.self))
            }
            if bytes.count >= length { return length }
        }
    }

    /// The length of head and body; nil while the head is incomplete.
    static func length(of text: String) -> Int? {
        guard let end = text.firstRange(of: "\r\n\r\n") else { return nil }
        let head = text[..<end.upperBound]
        guard let field = head.lowercased().firstRange(of: "content-length:") else { return head.utf8.count }
        let digits = head.lowercased()[field.upperBound...].drop { $0 == " " }.prefix { $0.isNumber }
        return head.utf8.count + (Int(digits) ?? 0)
    }

    private func unexpected(_ what: String) -> SandboxError {
        SandboxError(.service, "unexpected answer to \(path): \(what)")
    }
}
