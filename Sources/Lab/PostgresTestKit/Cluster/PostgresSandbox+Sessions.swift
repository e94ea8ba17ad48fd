import DispatchLoop
import Dispatch
import Glibc

/// What a server spends on clients that came over TCP, told from the titles of its processes: a log-in under way is one
/// too, which `pg_stat_activity` does not show, and looking costs the server nothing.
package struct ServerSessions: Sendable, Equatable {
    /// Processes for clients, those in log-in among them.
    package var processes = 0
    package var loggingIn = 0

    package init() {}

    /// Counts by the titles of the server's children: `postgres: admin mydb 127.0.0.1(43210) idle`.
    init(titles: [String]) {
        for title in titles {
            // A child that has no title of its own yet still has the server's: it has not read the start-up packet.
            let isNew = !title.hasPrefix("postgres:")
            // A client of the Unix socket is `[local]`: the sandbox itself, which does not count.
            guard isNew || Self.namesPort(title) else { continue }
            processes += 1
            let words = ["authentication", "startup", "initializing"]
            if isNew || words.contains(where: title.hasSuffix) { loggingIn += 1 }
        }
    }

    /// Whether there is a port in parentheses, which only clients of TCP have.
    private static func namesPort(_ title: String) -> Bool {
        guard let opening = title.firstIndex(of: "("), let closing = title[opening...].firstIndex(of: ")") else {
            return false
        }
        let digits = title[title.index(after: opening)..<closing]
        return !digits.isEmpty && digits.allSatisfy(\.isNumber)
    }
}

extension PostgresSandbox {
    /// What the server's processes do now; nothing of a server that is not running.
    package var serverSessions: ServerSessions {
        // Those that are there before and after were there at the same time: a look takes longer than a request to cancel,
        // and would count one after the other.
        let before = Set(childTitles.map(\.id))
        return ServerSessions(titles: childTitles.filter { before.contains($0.id) }.map(\.title))
    }

    private var childTitles: [(id: Int32, title: String)] {
        guard let server else { return [] }
        return ProcessTable.children(of: server.id).filter { !$0.hasEnded }.map { child in
            (child.id, ProcessTable.arguments(of: child.id).first ?? "")
        }
    }

    /// Ends all sessions of TCP clients without a statement of the sandbox's own, which would have to log in first.
    package func signalSessions() {
        for (id, title) in childTitles where ServerSessions(titles: [title]).processes == 1 {
            Glibc.kill(id, SIGTERM)
        }
    }

    /// Changes settings without a statement, and so without a log-in of the sandbox's own: for settings that make log-ins
    /// slow. In force when the postmaster has taken the signal, a moment later.
    package func setUnasked(_ settings: [String: String]) async throws {
        let lines = settings.sorted { $0.key < $1.key }.map { "\($0.key) = \(literal($0.value))\n" }.joined()
        // The last line for a setting counts.
        try Files.write(lines, to: "\(dataFolder)/postgresql.conf", append: true)
        try reload()
        try await Task.sleep(for: .milliseconds(300))
    }
}

/// Looks again and again at what a server spends on clients, and remembers the most.
package final class SessionWatch: Sendable {
    private let most = Locked(ServerSessions())
    private let isStopped = Locked(false)
    private let done = DispatchSemaphore(value: 0)

    package init(_ sandbox: PostgresSandbox) {
        DispatchQueue(label: "sessions on \(sandbox.port)").async { [most, isStopped, done] in
            while !isStopped.withLock({ $0 }) {
                let now = sandbox.serverSessions
                most.withLock { most in
                    most.processes = max(most.processes, now.processes)
                    most.loggingIn = max(most.loggingIn, now.loggingIn)
                }
                usleep(20_000)
            }
            done.signal()
        }
    }

    /// Ends the watch, and returns the most that was seen of each.
    package func stop() async -> ServerSessions {
        isStopped.withLock { $0 = true }
        let done = self.done
        await offCooperativeThreads { done.wait() }
        return most.withLock { $0 }
    }
}
