import Glibc
import PostgresTestKit
import Testing

extension EndToEnd {
    @Suite("after a pause of its process,", .serialized)
    struct PauseTests {
        private static let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
        private static let post = "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n"
        /// The bytes sent before the pause, and those sent during it.
        private static let kinds = [
            ("", get), (String(get.prefix(20)), String(get.dropFirst(20))), (post + "ab", "cd"),
        ]

        @Test("it answers the requests that arrived meanwhile, although their timeouts have passed")
        func answersAll() async throws {
            let timeouts = ["idle", "header", "body"].flatMap { ["--http-\($0)-timeout", "600ms"] }
            try await withService("postgres://127.0.0.1:1/none", arguments: timeouts) { service in
                let answers = try await Self.askDuringPause(service, count: 120)
                #expect(answers == Array(repeating: "HTTP/1.1 200 OK", count: 120))
            }
        }

        /// The first line of each answer.
        private static func askDuringPause(_ service: Service, count: Int) async throws -> [String] {
            let (port, process) = (service.port, service.process)
            return try await offCooperativeThreads {
                Result {
                    let deadline = Deadline(in: patience)
                    let sockets = try (0..<count).map { _ in
                        try DeadlineSocket(host: "127.0.0.1", port: port, deadline: deadline)
                    }
                    for (number, socket) in sockets.enumerated() where !kinds[number % 3].0.isEmpty {
                        try socket.send(Array(kinds[number % 3].0.utf8), deadline: deadline)
                    }
                    // Once this request is answered, the service has read all earlier bytes.
                    let last = try DeadlineSocket(host: "127.0.0.1", port: port, deadline: deadline)
                    try last.send(Array(get.utf8), deadline: deadline)
                    _ = try last.receive(deadline: deadline)
                    process.signal(SIGSTOP)
                    for (number, socket) in sockets.enumerated() {
                        try socket.send(Array(kinds[number % 3].1.utf8), deadline: deadline)
                    }
                    // Longer than every timeout.
                    usleep(900_000)
                    process.signal(SIGCONT)
                    return sockets.map { socket in
                        guard let bytes = try? socket.receive(deadline: deadline) else { return "no answer" }
                        let line = bytes.prefix { $0 != UInt8(ascii: "\r") }
                        return String(decoding: line, as: UTF8.self)
                    }
                }
            }.get()
        }
    }
}
