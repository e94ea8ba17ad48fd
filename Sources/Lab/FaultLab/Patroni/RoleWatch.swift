import DispatchLoop
import PostgresTestKit

/// What one server said about itself, and about the sessions of observed services, over time.
struct RoleRecord: Sendable {
    enum Role: String, Sendable {
        case writable
        case readOnly = "read-only"
        /// It refuses, is silent, or is not there.
        case away
    }

    struct Change: Sendable, Equatable {
        let at: ContinuousClock.Instant
        let role: Role
    }

    /// The sessions of one service, at one moment.
    struct Count: Sendable {
        let at: ContinuousClock.Instant
        let application: String
        let sessions: Int
    }

    /// The first role, and every change.
    var changes: [Change] = []
    var counts: [Count] = []

    mutating func note(_ role: Role, at time: ContinuousClock.Instant) {
        if changes.last?.role != role { changes.append(Change(at: time, role: role)) }
    }

    func role(at time: ContinuousClock.Instant) -> Role { changes.last { $0.at <= time }?.role ?? .away }

    /// The first change to `role` in this time.
    func first(_ role: Role, after begin: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        changes.first { $0.at > begin && $0.role == role }?.at
    }

    /// The longest time for which a service had sessions here while the server had the role: from the later of the role's
    /// beginning and the session's first sight to its last sight. Zero for one that was seen once: a login that the
    /// client then gives up.
    func longest(
        _ application: String, on role: Role, from begin: ContinuousClock.Instant, to end: ContinuousClock.Instant
    ) -> Duration {
        var longest = Duration.zero
        var since: ContinuousClock.Instant?
        for count in counts where count.application == application && count.at >= begin && count.at <= end {
            if count.sessions > 0, self.role(at: count.at) == role {
                let first = since ?? count.at
                since = first
                longest = max(longest, count.at - first)
            } else {
                since = nil
            }
        }
        return longest
    }
}

/// Asks a server for its role every few milliseconds, and ten times a second for the sessions of the services.
final class RoleWatch: Sendable {
    let node: PatroniNode
    private let state = Locked(RoleRecord())
    private let loop: BackgroundLoop
    private static let patience = Duration.seconds(1)

    init(
        _ node: PatroniNode, password: String, applications: [String] = [], every interval: Duration = .milliseconds(5)
    ) {
        self.node = node
        loop = BackgroundLoop("role of \(node.name)", every: interval) { [state] in
            var session: ServerSession?
            var countAt = ContinuousClock.now
            return {
                var limit: Deadline { Deadline(in: RoleWatch.patience) }
                do {
                    if session == nil {
                        session = try ServerSession(
                            host: node.host, port: node.port, password: password, deadline: limit)
                    }
                    guard let current = session else { return }
                    let rows = try current.query("select pg_is_in_recovery()", deadline: limit)
                    let role = rows == [["f"]] ? RoleRecord.Role.writable : .readOnly
                    state.withLock { $0.note(role, at: .now) }
                    if !applications.isEmpty, ContinuousClock.now >= countAt {
                        countAt = .now + .milliseconds(100)
                        let found = try current.query(RoleWatch.census, deadline: limit)
                        state.withLock { record in
                            for name in applications {
                                let count = found.first { $0.first == name }?.last.flatMap { Int($0) } ?? 0
                                record.counts.append(.init(at: .now, application: name, sessions: count))
                            }
                        }
                    }
                } catch {
                    session = nil
                    state.withLock { $0.note(.away, at: .now) }
                }
            }
        }
    }

    private static let census = """
        select application_name, count(*) from pg_stat_activity
        where backend_type = 'client backend' and state is not null group by 1
        """

    var record: RoleRecord { state.withLock { $0 } }
    /// The role now; nil before the first answer.
    var role: RoleRecord.Role? { state.withLock { $0.changes.last?.role } }

    /// The first change to `role` after `begin`.
    func first(_ role: RoleRecord.Role, after begin: ContinuousClock.Instant) -> ContinuousClock.Instant? {
        state.withLock { $0.first(role, after: begin) }
    }

    func stop() async { await loop.stop() }
}
