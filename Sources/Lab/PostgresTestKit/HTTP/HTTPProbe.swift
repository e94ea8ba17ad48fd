/// An HTTP client that measures: one connection, one thread at a time.
///
/// Not a library's client, because this one must keep its deadline whatever the service does, and must not pool, retry
/// or hide a failure.
package final class HTTPProbe {
    /// Whether requests share a connection.
    package enum Mode: Sendable {
        case keepAlive
        case freshConnection
    }

    private let host: String
    private let port: UInt16
    private let mode: Mode
    private let style: ProbeStyle
    private let limit: Duration
    private var socket: DeadlineSocket?
    /// Whether an earlier request used the connection.
    private var isReused = false
    private var received: [UInt8] = []
    private var pending: (path: String, begin: ContinuousClock.Instant, deadline: Deadline)?

    /// `host` is an IPv4 address or `localhost`; `limit` bounds each exchange as a whole.
    package init(
        host: String = "127.0.0.1", port: UInt16, mode: Mode = .keepAlive, style: ProbeStyle = .plain,
        limit: Duration = .seconds(5)
    ) {
        self.host = host
        self.port = port
        self.mode = mode
        self.style = style
        self.limit = limit
    }

    /// Sends one GET on its own connection, off the cooperative threads.
    package static func get(
        _ path: String, host: String = "127.0.0.1", port: UInt16, limit: Duration = .seconds(5)
    ) async -> HTTPExchange {
        await offCooperativeThreads {
            HTTPProbe(host: host, port: port, mode: .freshConnection, limit: limit).get(path)
        }
    }

    /// Sends one POST with a body of JSON on its own connection, off the cooperative threads.
    package static func post(
        _ path: String, _ body: String, host: String = "127.0.0.1", port: UInt16, limit: Duration = .seconds(5)
    ) async -> HTTPExchange {
        await offCooperativeThreads {
            let lines = [
                "POST \(path) HTTP/1.1", "Host: \(host):\(port)", "Connection: close",
                "Content-Type: application/json", "Content-Length: \(body.utf8.count)", "", body,
            ]
            let probe = HTTPProbe(host: host, port: port, mode: .freshConnection, limit: limit)
            return probe.send(path, as: lines.joined(separator: "\r\n")) ?? probe.receive()
        }
    }

    /// Sends GETs until one is answered with 200. False if none was within `limit`.
    @discardableResult
    package static func waitUntilGood(
        _ path: String = "/ping", port: UInt16, within limit: Duration = .seconds(20)
    ) async throws -> Bool {
        try await Deadline(in: limit).wait(every: .milliseconds(20)) {
            await get(path, port: port, limit: limit).isGood
        }
    }

    /// Sends one request without a body to a server on a Unix socket, and waits for the answer. Blocks the thread.
    package static func send(
        _ method: String, _ path: String, toSocket socketPath: String, limit: Duration
    ) -> HTTPExchange.Outcome {
        let deadline = Deadline(in: limit)
        var received: [UInt8] = []
        do throws(DeadlineSocket.Failure) {
            let socket = try DeadlineSocket(path: socketPath)
            let fields = "Host: localhost\r\nContent-Length: 0\r\nConnection: close"
            try socket.send(Array("\(method) \(path) HTTP/1.1\r\n\(fields)\r\n\r\n".utf8), deadline: deadline)
            while true {
                if let answer = HTTPAnswer(received, isComplete: false) {
                    return .answered(status: answer.status, body: answer.body)
                }
                received += try socket.receive(deadline: deadline)
            }
        } catch {
            guard error == .closed, let answer = HTTPAnswer(received, isComplete: true) else {
                return .failed(error.description)
            }
            return .answered(status: answer.status, body: answer.body)
        }
    }

    /// Whether the server has closed the kept connection since its last answer.
    package var hasEnded: Bool { socket?.hasEnded ?? false }

    /// Sends a GET and waits for the answer. Blocks the thread.
    package func get(_ path: String) -> HTTPExchange {
        send(path) ?? receive()
    }

    /// Sends the request without waiting for the answer. Returns nil, or the exchange that failed.
    package func send(_ path: String) -> HTTPExchange? {
        send(path, as: style.request(path, authority: "\(host):\(port)", keepsConnection: mode == .keepAlive))
    }

    private func send(_ path: String, as text: String) -> HTTPExchange? {
        let request = (path: path, begin: ContinuousClock.now, deadline: Deadline(in: limit))
        pending = request
        received = []
        // A connection that ended before this request loses nothing: clients watch their idle connections.
        if hasEnded { socket = nil }
        isReused = socket != nil
        do throws(DeadlineSocket.Failure) {
            if socket == nil { socket = try DeadlineSocket(host: host, port: port, deadline: request.deadline) }
            try socket?.send(Array(text.utf8), deadline: request.deadline)
            return nil
        } catch {
            return finish(.failed(word(for: error)))
        }
    }

    /// Waits for the answer to the request that `send` sent.
    package func receive() -> HTTPExchange {
        guard let pending, let socket else { return finish(.failed("nothing was sent")) }
        while true {
            do throws(DeadlineSocket.Failure) {
                received += try socket.receive(deadline: pending.deadline)
            } catch {
                // A body without a length ends with the connection.
                guard error == .closed, let answer = HTTPAnswer(received, isComplete: true, hasBody: style.hasBody)
                else {
                    return finish(.failed(word(for: error)))
                }
                self.socket = nil
                return finish(.answered(status: answer.status, body: answer.body))
            }
            if let answer = HTTPAnswer(received, isComplete: false, hasBody: style.hasBody) {
                if mode == .freshConnection || answer.isLast { self.socket = nil }
                return finish(.answered(status: answer.status, body: answer.body))
            }
        }
    }

    /// Marks a kept connection that ended under a request without `Connection: close` in an earlier answer: the request
    /// is lost. A client that retries hides that (RFC 9112 §9.3.1); this one reports it.
    private func word(for error: DeadlineSocket.Failure) -> String {
        guard isReused, received.isEmpty, error == .closed || error == .reset else { return error.description }
        return "\(error) unannounced"
    }

    private func finish(_ outcome: HTTPExchange.Outcome) -> HTTPExchange {
        if case .failed = outcome { socket = nil }
        let begin = pending?.begin ?? ContinuousClock.now
        defer { pending = nil }
        return HTTPExchange(
            path: pending?.path ?? "", begin: begin, latency: ContinuousClock.now - begin, outcome: outcome)
    }
}

/// A parsed answer, as far as probes need HTTP/1.1.
struct HTTPAnswer {
    let status: Int
    let body: String
    /// Whether the server will close the connection.
    let isLast: Bool

    /// Nil while bytes are missing. `isComplete` says that no more bytes follow, so a body without a length ends here.
    /// `hasBody` is false for `HEAD`, whose answer has none.
    init?(_ bytes: [UInt8], isComplete: Bool, hasBody: Bool = true) {
        let text = String(decoding: bytes, as: UTF8.self)
        guard let headEnd = text.firstRange(of: "\r\n\r\n") else { return nil }
        let lines = text[..<headEnd.lowerBound].split(separator: "\r\n")
        let words = lines.first?.split(separator: " ") ?? []
        guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else { return nil }
        var fields: [String: String] = [:]
        for line in lines.dropFirst() {
            guard let colon = line.firstIndex(of: ":") else { continue }
            fields[line[..<colon].lowercased()] = line[line.index(after: colon)...].lowercased()
                .split(separator: " ").joined(separator: " ")
        }
        let rest = text[headEnd.upperBound...]
        var isLast = fields["connection"] == "close"
        if !hasBody || status == 204 || status == 304 {
            body = ""
        } else if fields["transfer-encoding"] == "chunked" {
            guard rest.hasSuffix("0\r\n\r\n") else { return nil }
            body = Self.unchunked(rest)
        } else if let length = fields["content-length"].flatMap({ Int($0) }) {
            guard rest.utf8.count >= length else { return nil }
            body = String(decoding: rest.utf8.prefix(length), as: UTF8.self)
        } else {
            guard isComplete else { return nil }
            isLast = true
            body = String(rest)
        }
        self.status = status
        self.isLast = isLast
    }

    private static func unchunked(_ text: Substring) -> String {
        var rest = Array(text.utf8)[...]
        var body: [UInt8] = []
        while let lineEnd = rest.firstIndex(of: 13) {
            let size = String(decoding: rest[..<lineEnd].prefix { $0 != UInt8(ascii: ";") }, as: UTF8.self)
            guard let count = Int(size, radix: 16), count > 0, rest.count >= lineEnd - rest.startIndex + 2 + count + 2
            else { break }
            let chunk = rest.dropFirst(lineEnd - rest.startIndex + 2)
            body += chunk.prefix(count)
            rest = chunk.dropFirst(count + 2)
        }
        return String(decoding: body, as: UTF8.self)
    }
}
