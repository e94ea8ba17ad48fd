internal import PostgresTestKit
internal import Synchronization

/// A moderate load of all kinds of clients, on their own threads.
package final class MixedLoad: Sendable {
    private let clients: Clients
    private let tasks: [Task<Void, Never>]

    package init(port: UInt16) {
        let clients = Clients(port: port)
        self.clients = clients
        tasks = [
            clients.repeating { try $0.burst("/", count: 50, depth: 1) },
            clients.repeating { try $0.burst("/ping", count: 20, depth: 1) },
            clients.repeating { try $0.burst("/", count: 64, depth: 16) },
            clients.repeating { $0.sendOddities() },
        ]
    }

    /// Stops. Returns the number of requests and of failures.
    package func stop() async -> (requests: Int, failures: Int) {
        clients.isStopped.store(true, ordering: .relaxed)
        for task in tasks { await task.value }
        return (clients.requests.load(ordering: .relaxed), clients.failures.load(ordering: .relaxed))
    }
}

private final class Clients: Sendable {
    let isStopped = Atomic(false)
    let requests = Atomic(0)
    let failures = Atomic(0)
    private let port: UInt16

    init(port: UInt16) { self.port = port }

    func repeating(_ turn: @escaping @Sendable (Clients) throws -> Void) -> Task<Void, Never> {
        Task {
            while !isStopped.load(ordering: .relaxed) {
                let isGood = await offCooperativeThreads { (try? turn(self)) != nil }
                if !isGood { failures.add(1, ordering: .relaxed) }
                try? await Task.sleep(for: .milliseconds(20))
            }
        }
    }

    /// Sends requests on a new connection.
    func burst(_ path: String, count: Int, depth: Int) throws {
        try LockstepClient(port: port, path: path).send(count, depth: depth)
        requests.add(count, ordering: .relaxed)
    }

    /// Sends rejected, incomplete and empty requests.
    func sendOddities() {
        let all = [
            "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n", "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "\u{16}\u{3}\u{1} no HTTP", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf", "GET / HT", "",
            "GET / HTTP/1.1\r\nHost: a\r\nX-Long: \(String(repeating: "x", count: 20_000))\r\n\r\n",
        ]
        for text in all {
            let deadline = Deadline(in: .seconds(5))
            guard let socket = try? DeadlineSocket(host: "127.0.0.1", port: port, deadline: deadline) else {
                failures.add(1, ordering: .relaxed)
                continue
            }
            try? socket.send(Array(text.utf8), deadline: deadline)
            // Complete requests get an answer; the other clients hang up.
            if text.hasSuffix("\r\n\r\n") { _ = try? socket.receive(deadline: deadline) }
            requests.add(1, ordering: .relaxed)
        }
    }
}
