import DispatchLoop
package import PostgresTestKit

/// What was seen and done, in order: every exchange of every prober, and marks for what happened to the
/// database. Written from several threads; read by reports, checks and the terminal.
package final class Timeline: Sendable {
    /// Something that was done to the database, or came of it.
    package struct Mark: Sendable {
        package let at: ContinuousClock.Instant
        package let text: String
    }

    /// What a watcher hears of: marks, and every exchange that ended differently from the one before it
    /// on the same path.
    package enum Event: Sendable {
        case mark(Mark)
        case change(HTTPExchange)
    }

    private struct State {
        var exchanges: [HTTPExchange] = []
        var marks: [Mark] = []
        var latest: [String: String] = [:]
        /// Exchanges that have begun and not ended, by path.
        var underWay: [String: Set<Int>] = [:]
        var begun = 0
    }

    private let state = Locked(State())
    private let watcher: @Sendable (Event) -> Void

    package init(watcher: @escaping @Sendable (Event) -> Void = { _ in }) { self.watcher = watcher }

    /// Runs one exchange on a path, and records it.
    package func record(on path: String, _ exchange: () -> HTTPExchange) {
        let number = state.withLock { state in
            state.begun += 1
            state.underWay[path, default: []].insert(state.begun)
            return state.begun
        }
        record(exchange())
        state.withLock { _ = $0.underWay[path]?.remove(number) }
    }

    package func record(_ exchange: HTTPExchange) {
        let isChange = state.withLock { state in
            state.exchanges.append(exchange)
            defer { state.latest[exchange.path] = exchange.summary }
            return state.latest[exchange.path] != exchange.summary
        }
        if isChange { watcher(.change(exchange)) }
    }

    /// Marks this moment, and returns it.
    @discardableResult
    package func mark(_ text: String) -> ContinuousClock.Instant {
        let mark = Mark(at: .now, text: text)
        state.withLock { $0.marks.append(mark) }
        watcher(.mark(mark))
        return mark.at
    }

    package var marks: [Mark] { state.withLock { $0.marks } }

    /// How many exchanges have ended, on all paths.
    package var count: Int { state.withLock { $0.exchanges.count } }

    /// The exchanges on a path in the order in which they began.
    package func exchanges(on path: String) -> [HTTPExchange] {
        state.withLock { $0.exchanges.filter { $0.path == path } }.sorted { $0.begin < $1.begin }
    }

    /// Polls until every exchange on `path` that is under way now has ended, for `limit` at most.
    func waitForThoseUnderWay(on path: String, within limit: Duration) async throws {
        let waitedFor = state.withLock { $0.underWay[path] ?? [] }
        _ = try await Deadline(in: limit).wait(every: .milliseconds(2)) {
            self.state.withLock { waitedFor.isDisjoint(with: $0.underWay[path] ?? []) }
        }
    }

    /// Polls until an exchange on `path` satisfies `condition`. Nil when none did in time.
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
