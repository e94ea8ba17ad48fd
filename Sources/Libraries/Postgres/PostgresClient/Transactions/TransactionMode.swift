/// How transactions see each other's changes (PostgreSQL manual, 13.2).
public enum TransactionIsolation: String, Sendable, Hashable, CaseIterable {
    /// Each statement sees what was committed before it began.
    case readCommitted = "read committed"
    /// All statements see what was committed before the first one began. May fail with 40001.
    case repeatableRead = "repeatable read"
    /// As if transactions ran one after the other. May fail with 40001.
    case serializable
}

/// The modes of a transaction (PostgreSQL manual, BEGIN).
struct TransactionMode: Sendable, Hashable {
    var isolation: TransactionIsolation?
    var isReadOnly = false
    var isDeferrable = false

    /// BEGIN with the modes, in one statement; without those that are the session's defaults.
    var begin: String {
        var modes: [String] = []
        if let isolation { modes.append("isolation level \(isolation.rawValue)") }
        if isReadOnly { modes.append("read only") }
        if isDeferrable { modes.append("deferrable") }
        return modes.isEmpty ? "begin" : "begin " + modes.joined(separator: ", ")
    }
}

/// How often a transaction runs again that the server undid because of others: a serialization failure (40001) or a
/// deadlock (40P01). Its body then runs again as a whole, so it must do nothing outside the database that may not be done
/// twice.
///
/// The pause before the nth further run is random, up to `initial` × 2ⁿ⁻¹ and at most `maximum`, so that the same
/// transactions do not meet again ("Exponential Backoff and Jitter", AWS Architecture Blog, 2015).
public struct TransactionRetry: Sendable, Hashable {
    /// How many further runs there may be.
    public var limit: Int
    /// The longest pause before the first further run.
    public var initial: Duration
    /// The longest pause.
    public var maximum: Duration

    /// No further run.
    public static let never = TransactionRetry(limit: 0, initial: .zero, maximum: .zero)

    /// At most `limit` further runs.
    public static func upTo(
        _ limit: Int, initial: Duration = .milliseconds(10), maximum: Duration = .seconds(1)
    ) -> TransactionRetry {
        TransactionRetry(limit: limit, initial: initial, maximum: maximum)
    }

    /// The longest pause before a further run, counted from 1.
    func longestPause(before run: Int) -> Duration {
        var pause = min(max(initial, .zero), max(maximum, .zero))
        var doubled = 1
        while pause > .zero, pause < maximum, doubled < run {
            pause = min(pause * 2, maximum)
            doubled += 1
        }
        return pause
    }

    /// The pause before a further run, counted from 1.
    func pause(before run: Int, using generator: inout some RandomNumberGenerator) -> Duration {
        longestPause(before: run) * Double.random(in: 0...1, using: &generator)
    }
}
