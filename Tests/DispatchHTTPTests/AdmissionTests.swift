import CLinux
import DispatchLoop
import Glibc
import Testing

@testable import DispatchHTTP

@Suite("admission of connections", .timeLimit(.minutes(1)))
struct AdmissionTests {
    @Test("a new connection evicts the oldest idle one")
    func evictsTheOldest() async throws {
        try await withServer({ $0.maxConnections = 3 }) { server in
            let port = server.port
            let ended = try await offLoop {
                let clients = try (0..<3).map { _ in
                    let client = try TestClient(port: port)
                    try client.send(ConversationTests.get)
                    _ = try client.reply()
                    return client
                }
                // A further request on the first connection makes the second the oldest.
                try clients[0].send(ConversationTests.get)
                _ = try clients[0].reply()
                let newcomer = try TestClient(port: port)
                try newcomer.send(ConversationTests.get)
                _ = try newcomer.reply()
                let isEnded = try clients[1].isEnded()
                for client in [clients[0], clients[2]] {
                    try client.send(ConversationTests.get)
                    _ = try client.reply()
                }
                return isEnded
            }
            #expect(ended)
            #expect(await server.events.closes(1).first == .evicted)
        }
    }

    @Test("with all connections busy and no reserve, a new one waits until one ends")
    func waitsForAPlace() async throws {
        try await withServer({
            $0.maxConnections = 2
            $0.reservedConnections = 0
        }) { server in
            let port = server.port
            let busy = try await offLoop {
                try (0..<2).map { number in
                    let client = try TestClient(port: port)
                    try client.send("GET /held?\(number) HTTP/1.1\r\nHost: a\r\n\r\n")
                    return client
                }
            }
            await server.gate.arrivals(2)
            async let body = offLoop {
                let client = try TestClient(port: port)
                try client.send(ConversationTests.get)
                return try client.reply().body
            }
            let (opened, idle) = (await server.events.opened, await server.server.idleCount)
            #expect(opened == 2)
            #expect(idle == 0)
            busy[0].reset()
            let text = try await body
            #expect(text == "hello")
            #expect(await server.events.opened == 3)
        }
    }

    @Test("closed connections leave no descriptor behind")
    func descriptors() async throws {
        try await withServer { server in
            let port = server.port
            for _ in 0..<5 {
                try await offLoop {
                    let clients = try (0..<100).map { _ in try TestClient(port: port) }
                    for client in clients { try client.send(ConversationTests.get) }
                    for client in clients { _ = try client.reply() }
                }
            }
            #expect(await server.events.closes(500).count == 500)
            #expect(await server.server.connectionCount == 0)
            #expect(await server.server.idleCount == 0)
        }
    }

    @Test("memory of a peak is freed, and old and new connections are served")
    func givesMemoryBack() async throws {
        try await withServer { server in
            let port = server.port
            let stayed = try await offLoop {
                let clients = try (0..<100).map { _ in try TestClient(port: port) }
                for client in clients { try client.send(ConversationTests.get) }
                for client in clients { _ = try client.reply() }
                return clients[9]
            }
            _ = await server.events.closes(99)
            #expect(await server.server.slotCount == 100)
            await server.server.trimMemory()
            #expect(await server.server.slotCount <= 10)
            let bodies = try await offLoop {
                let clients = try (0..<20).map { _ in try TestClient(port: port) } + [stayed]
                for client in clients { try client.send(ConversationTests.get) }
                return try clients.map { try $0.reply().body }
            }
            #expect(bodies == Array(repeating: "hello", count: 21))
            _ = await server.events.closes(119)
            #expect(await server.server.connectionCount == 1)
            #expect(await server.server.idleCount == 1)
            stayed.close()
        }
    }

    @Test("accepted sockets send small responses at once")
    func noDelay() async throws {
        // Accepted sockets inherit TCP_NODELAY from the listening socket on Linux.
        try await withServer { server in
            let port = server.port
            let inherited = try await offLoop {
                let client = try TestClient(port: port)
                try client.send(ConversationTests.get)
                _ = try client.reply()
                return peerOption(client.descriptor)
            }
            #expect(inherited)
        }
    }

    /// Runs in its own process, because the limit is per process.
    @Test("without descriptors the server evicts idle connections, then pauses accepting and recovers")
    func descriptorsRunOut() async {
        await #expect(processExitsWith: .success) {
            let server = try await TestServer()
            let port = server.port
            let (first, second, sockets) = try await offLoop {
                let first = try TestClient(port: port)
                try first.send(ConversationTests.get)
                _ = try first.reply()

                // The clients' sockets, opened before the limit.
                let sockets = (0..<2).map { _ in socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0) }
                let free = dup(0)
                close(free)
                var limit = rlimit(rlim_cur: rlim_t(free), rlim_max: rlim_t(free))
                guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { exit(2) }

                // The second connection gets the descriptor of the idle first one.
                let second = try TestClient(adopting: sockets[0], port: port)
                try second.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n")
                guard try first.isEnded() else { exit(3) }
                return (first, second, sockets)
            }
            await server.gate.arrivals(1)
            try await offLoop {
                // A busy connection keeps its descriptor. The third one waits until the first client closes its own
                // end, because both ends share this process's limit.
                let third = try TestClient(adopting: sockets[1], port: port)
                try third.send(ConversationTests.get)
                guard !isReadable(third.descriptor, within: 250) else { exit(4) }
                first.close()
                // That frees a descriptor. Only the server's timer notices.
                guard try third.reply().body == "hello" else { exit(5) }
            }
            second.close()
            guard await server.events.pauses > 0, await server.events.pauses < 20 else { exit(6) }
            exit(0)
        }
    }
}

extension AdmissionTests {
    /// Runs in its own process, because the limit is per process.
    @Test("without descriptors and idle connections, the server evicts the one longest within a header")
    func descriptorsRunOutAtHeaders() async {
        await #expect(processExitsWith: .success) {
            let server = try await TestServer()
            let port = server.port
            let slow = try await offLoop {
                let slow = try TestClient(port: port)
                try slow.send("GET / HT")
                return slow
            }
            while await server.server.headCount == 0 { await Task.yield() }
            try await offLoop {
                let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
                let free = dup(0)
                close(free)
                var limit = rlimit(rlim_cur: rlim_t(free), rlim_max: rlim_t(free))
                guard setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { exit(2) }
                let other = try TestClient(adopting: socket, port: port)
                try other.send(ConversationTests.get)
                guard try other.reply().body == "hello" else { exit(3) }
                guard try slow.isEnded() else { exit(4) }
            }
            guard await server.events.pauses == 0 else { exit(5) }
            exit(0)
        }
    }
}

/// Whether the server's end of a loopback connection within this process has TCP_NODELAY.
private func peerOption(_ client: Int32) -> Bool {
    var own = sockaddr_in()
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    withUnsafeMutablePointer(to: &own) {
        _ = $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(client, $0, &length) }
    }
    for descriptor in 0..<Int32(4096) where descriptor != client {
        var peer = sockaddr_in()
        length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let result = withUnsafeMutablePointer(to: &peer) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getpeername(descriptor, $0, &length) }
        }
        guard result == 0, peer.sin_family == own.sin_family, peer.sin_port == own.sin_port else { continue }
        var value: Int32 = 0
        length = socklen_t(MemoryLayout<Int32>.size)
        getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &value, &length)
        return value != 0
    }
    return false
}
