import DispatchLoop
import Glibc

/// A server's processes for TCP clients, counted by their titles. Unlike `pg_stat_activity` this includes logins in
/// progress, and costs the server nothing.
package struct ServerSessions: Sendable, Equatable {
    /// Processes for clients, including those in login.
    package var processes = 0
    package var loggingIn = 0

    package init() {}

    /// Counts the titles of the server's children: `postgres: admin mydb 127.0.0.1(43210) idle`.
    init(titles: [String]) {
        for title in titles {
            // Until it has read the startup packet, a child has the server's title.
            let isNew = !title.hasPrefix("postgres:")
            // Clients of the Unix socket are `[local]`: the sandbox itself, which does not count.
            guard isNew || Self.namesPort(title) else { continue }
            processes += 1
            let words = ["authentication", "startup", "initializing"]
            if isNew || words.contains(where: title.hasSuffix) { loggingIn += 1 }
        }
    }

    /// Whether the title has a port in parentheses, as those of TCP clients do.
    private static func namesPort(_ title: String) -> Bool {
        guard let opening = title.firstIndex(of: "("), let closing = title[opening...].firstIndex(of: ")") else {
            return false
        }
        let digits = title[title.index(after: opening)..<closing]
        return !digits.isEmpty && digits.allSatisfy(\.isNumber)
    }
}

extension PostgresSandbox {
    /// The processes for clients now; none if the server does not run.
    package var serverSessions: ServerSessions {
        // Reading /proc takes longer than a cancel request. Count only processes that exist before and after, so that
        // two consecutive ones do not count as simultaneous.
        let before = Set(childTitles.map(\.id))
        return ServerSessions(titles: childTitles.filter { before.contains($0.id) }.map(\.title))
    }

    private var childTitles: [(id: Int32, title: String)] {
        guard let server else { return [] }
        return ProcessTable.children(of: server.id).filter { !$0.hasEnded }.map { child in
            (child.id, ProcessTable.arguments(of: child.id).first ?? "")
        }
    }

    /// Terminates the sessions of TCP clients by SIGTERM, without a login of the sandbox's own.
    package func signalSessions() {
        for (id, title) in childTitles where ServerSessions(titles: [title]).processes == 1 {
            Glibc.kill(id, SIGTERM)
        }
    }

    /// Changes settings without a login of the sandbox's own, for settings that make logins slow. They take effect when
    /// the postmaster has handled the signal.
    package func setWithoutLogin(_ settings: [String: String]) async throws {
        let lines = settings.sorted { $0.key < $1.key }.map { "\($0.key) = \(SQLText.literal($0.value))\n" }.joined()
        // The last line for a setting wins.
        try Files.write(lines, to: "\(dataFolder)/postgresql.conf", append: true)
        try reload()
        try await Task.sleep(for: .milliseconds(300))
    }
}

/// Polls a server's processes for clients, and keeps the maximum.
package final class SessionWatch: Sendable {
    private let most = Locked(ServerSessions())
    private let loop: BackgroundLoop

    package init(_ sandbox: PostgresSandbox) {
        loop = BackgroundLoop("sessions on \(sandbox.port)", pause: .milliseconds(20)) { [most] in
            let now = sandbox.serverSessions
            most.withLock { most in
                most.processes = max(most.processes, now.processes)
                most.loggingIn = max(most.loggingIn, now.loggingIn)
            }
        }
    }

    /// Stops, and returns the maximum of each count.
    package func stop() async -> ServerSessions {
        await loop.stop()
        return most.withLock { $0 }
    }
}
