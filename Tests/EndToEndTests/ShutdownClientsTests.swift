import Glibc
import PostgresTestKit
import Testing

extension EndToEnd {
    @Suite("clients during a shutdown:", .serialized)
    struct ShutdownClientsTests {
        private static let nowhere = "postgres://127.0.0.1:1/none"
        private static let get = Array("GET / HTTP/1.1\r\nHost: a\r\n\r\n".utf8)

        /// The end of a client's connection.
        private enum End: Equatable, Sendable {
            /// An answer had `Connection: close`.
            case announced
            /// A request had no answer.
            case lost(DeadlineSocket.Failure)
        }

        @Test(
            "connections without pauses get Connection: close and lose no request",
            arguments: ["0s", "1s"])
        func keepAlive(_ delay: String) async throws {
            try await withService(Self.nowhere, arguments: ["--drain-delay", delay]) { service in
                let port = service.port
                let sockets = try await offCooperativeThreads {
                    Result { try (0..<16).map { _ in try Self.askOnce(port) } }
                }.get()
                let ends = await withTaskGroup(of: End.self) { group in
                    for socket in sockets {
                        group.addTask { await offCooperativeThreads { Self.askUntilAnnounced(socket) } }
                    }
                    service.process.signal(SIGTERM)
                    return await group.reduce(into: [End]()) { $0.append($1) }
                }
                #expect(ends == Array(repeating: .announced, count: 16))
                #expect(try await service.process.waitForExit(within: patience) == .code(0))
            }
        }

        @Test("half a request does not delay the shutdown beyond its timeout")
        func halfARequest() async throws {
            let arguments = ["--http-header-timeout", "5m", "--shutdown-timeout", "1s"]
            try await withService(Self.nowhere, arguments: arguments) { service in
                let port = service.port
                let socket = try await offCooperativeThreads {
                    Result {
                        let deadline = Deadline(in: patience)
                        let socket = try DeadlineSocket(host: "127.0.0.1", port: port, deadline: deadline)
                        try socket.send(Array(Self.get.dropLast(5)), deadline: deadline)
                        return socket
                    }
                }.get()
                service.process.signal(SIGTERM)
                #expect(try await service.process.waitForExit(within: patience) == .code(0))
                withExtendedLifetime(socket) {}
            }
        }

        /// Connects and receives one answer.
        private static func askOnce(_ port: UInt16) throws(DeadlineSocket.Failure) -> DeadlineSocket {
            let deadline = Deadline(in: patience)
            let socket = try DeadlineSocket(host: "127.0.0.1", port: port, deadline: deadline)
            try socket.send(get, deadline: deadline)
            _ = try socket.receive(deadline: deadline)
            return socket
        }

        private static func askUntilAnnounced(_ socket: DeadlineSocket) -> End {
            do throws(DeadlineSocket.Failure) {
                let deadline = Deadline(in: patience)
                while true {
                    try socket.send(get, deadline: deadline)
                    // Far smaller than a segment, so one receive returns it.
                    let answer = String(decoding: try socket.receive(deadline: deadline), as: UTF8.self)
                    if answer.contains("Connection: close") { return .announced }
                }
            } catch {
                return .lost(error)
            }
        }
    }
}
