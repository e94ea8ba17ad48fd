import DispatchLoop
package import PostgresTestKit

/// All exchanges of all clients, and marks for events at the database. Several threads write it; reports, checks and
/// the terminal read it.
package final class Timeline: Sendable {
    /// An event at the database.
    package struct Mark: Sendable {
        package let at: ContinuousClock.Instant
        package let text: String
    }

    /// A mark, or an exchange whose result differs from the previous one on the same path.
    package enum Event: Sendable {
        case mark(Mark)
        case change(HTTPExchange)
    }

    private struct State {
        var exchanges: [HTTPExchange] = []
        var marks: [Mark] = []
        var latest: [String: String] = [:]
        /// Exchanges in flight, by path.
        var inFlight: [String: Set<Int>] = [:]
        var begun = 0
    }

    private let state = Locked(State())
    private let watcher: @Sendable (Event) -> Void

    package init(watcher: @escaping @Sendable (Event) -> Void = { _ in }) { self.watcher = watcher }

    /// Runs an exchange on a path, and records it.
    package func record(on path: String, _ exchange: () -> HTTPExchange) {
        let number = state.withLock { state in
            state.begun += 1
            state.inFlight[path, default: []].insert(state.begun)
            return state.begun
        }
        record(exchange())
        state.withLock { _ = $0.inFlight[path]?.remove(number) }
    }

    package func record(_ exchange: HTTPExchange) {
        let isChange = state.withLock { state in
            state.exchanges.append(exchange)
            defer { state.latest[exchange.path] = exchange.summary }
            return state.latest[exchange.path] != exchange.summary
        }
        if isChange { watcher(.change(exchange)) }
    }

    /// Marks the present moment, and returns it.
    @discardableResult
    package func mark(_ text: String) -> ContinuousClock.Instant {
        let mark = Mark(at: .now, text: text)
        state.withLock { $0.marks.append(mark) }
        watcher(.mark(mark))
        return mark.at
    }

    package var marks: [Mark] { state.withLock { $0.marks } }

    /// The number of ended exchanges on all paths.
    package var count: Int { state.withLock { $0.exchanges.count } }

    /// The exchanges on a path, in the order in which they began.
    package func exchanges(on path: String) -> [HTTPExchange] {
        state.withLock { $0.exchanges.filter { $0.path == path } }.sorted { $0.begin < $1.begin }
    }

    /// The exchanges on a path that ended after `begin`, in the order of their ends.
    func exchanges(on path: String, endedAfter begin: ContinuousClock.Instant) -> [HTTPExchange] {
        state.withLock { state in
            let first = state.exchanges.lastIndex { $0.end <= begin }.map { $0 + 1 } ?? 0
            return state.exchanges[first...].filter { $0.path == path }
        }
    }

    /// Polls until every exchange on `path` that is in flight now has ended, or `limit` has passed.
    func waitForExchangesInFlight(on path: String, within limit: Duration) async throws {
        let waitedFor = state.withLock { $0.inFlight[path] ?? [] }
        _ = try await Deadline(in: limit).wait(every: .milliseconds(2)) {
            self.state.withLock { waitedFor.isDisjoint(with: $0.inFlight[path] ?? []) }
        }
    }

    /// Polls until an exchange on `path` satisfies `condition`. Nil if none did in time.
    package func first(
        on path: String, within limit: Duration, where condition: @escaping @Sendable (HTTPExchange) -> Bool
    ) async throws -> HTTPExchange? {
        var found: HTTPExchange?
        _ = try await Deadline(in: limit).wait(every: .milliseconds(2)) {
            found = self.state.withLock { $0.exchanges.last { $0.path == path && condition($0) } }
            return found != nil
        }
        return found
    }
}
