internal import PostgresTestKit

/// Spreads requests evenly over many connections. Blocks its thread.
package final class SpreadClient {
    private let sockets: [DeadlineSocket]
    private let request: [UInt8]
    private var next = 0
    private let limit = Duration.seconds(60)

    /// The number of requests in flight, independent of the number of connections.
    private static let atATime = 64

    package init(port: UInt16, connections: Int) throws {
        let deadline = Deadline(in: .seconds(60))
        sockets = try (0..<connections).map { _ in
            try DeadlineSocket(host: "127.0.0.1", port: port, deadline: deadline)
        }
        request = Array("GET / HTTP/1.1\r\nHost: 127.0.0.1:\(port)\r\n\r\n".utf8)
    }

    /// Sends `count` requests and reads their answers. Throws if one is not 200.
    package func send(_ count: Int) throws {
        var left = count
        while left > 0 {
            // One request for each connection at a time, because several would be pipelined.
            let size = min(left, Self.atATime, sockets.count)
            let deadline = Deadline(in: limit)
            let turn = (0..<size).map { sockets[(next + $0) % sockets.count] }
            for socket in turn { try socket.send(request, deadline: deadline) }
            for socket in turn {
                let answer = try socket.receive(limit: 2048, deadline: deadline)
                guard answer.starts(with: Self.good) else {
                    throw SandboxError(.service, "unexpected answer: \(String(decoding: answer, as: UTF8.self))")
                }
            }
            next = (next + size) % sockets.count
            left -= size
        }
    }

    private static let good = Array("HTTP/1.1 200".utf8)
}
