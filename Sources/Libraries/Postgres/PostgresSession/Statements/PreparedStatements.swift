/// Which statements a session keeps prepared, and so what to send for one. Pure.
///
/// ```
///   unknown ── prepare, execute ──▶ prepared ── execute ──▶ prepared
///      ▲                      │ 26000: it is not there (any more)
///      └──────────────────────┤
///                             │ 26000 too often, 0A000: its result's shape has changed
///                             └──────▶ text, for good
/// ```
///
/// A name is made from the statement's text and so means the same in every session. Behind a pooler that lends a server's
/// session for one transaction at a time (PgBouncer with `pool_mode = transaction`), the statement may be there already
/// when it is prepared – then it is the same one – or be missing when it is executed, and nothing has been executed then.
struct PreparedStatements {
    /// What to send.
    enum Step: Hashable {
        /// The text itself.
        case text
        /// Have the server prepare the text under this name, and execute it, in one go.
        case prepare(name: String)
        /// Execute what was prepared under this name.
        case execute(name: String)
    }

    private struct Entry {
        enum State { case unknown, prepared, textOnly }

        let sql: String
        let name: String
        var state = State.unknown
    }

    /// The most statements that a session keeps. They cost the server memory; further ones are sent as text.
    static let capacity = 64
    /// How many statements may turn out to be missing before the session is taken for one that is shared.
    static let maximumMisses = 2

    private var entries: [Entry] = []
    private var misses = 0

    /// What to send for a statement.
    mutating func step(for sql: String) -> Step {
        guard misses <= Self.maximumMisses else { return .text }
        guard let index = entries.firstIndex(where: { $0.sql == sql }) else {
            guard entries.count < Self.capacity else { return .text }
            let name = Self.name(for: sql)
            entries.append(Entry(sql: sql, name: name))
            return .prepare(name: name)
        }
        switch entries[index].state {
        case .unknown: return .prepare(name: entries[index].name)
        case .prepared: return .execute(name: entries[index].name)
        case .textOnly: return .text
        }
    }

    /// What to send next after `step` has ended, with an SQLSTATE if it failed; `nil` when that was the statement's end.
    ///
    /// Only for statements outside of transactions: within one, what has failed takes the transaction along.
    mutating func next(after step: Step, of sql: String, failure code: String?) -> Step? {
        guard let index = entries.firstIndex(where: { $0.sql == sql }) else { return nil }
        switch (step, code) {
        case (.prepare, nil):
            entries[index].state = .prepared
            return nil
        case (.prepare, "42P05"):  // duplicate_prepared_statement: nothing has been executed
            entries[index].state = .prepared
            return .execute(name: entries[index].name)
        case (.execute, "26000"):  // invalid_sql_statement_name
            misses += 1
            entries[index].state = .unknown
            return self.step(for: sql)
        case (.execute, "0A000"):  // "cached plan must not change result type"
            entries[index].state = .textOnly
            return .text
        default:
            return nil
        }
    }

    /// Takes it that a statement has been prepared, before the server has said so: what is sent behind it may use it.
    mutating func expectPrepared(_ sql: String) {
        guard let index = entries.firstIndex(where: { $0.sql == sql }) else { return }
        entries[index].state = .prepared
    }

    /// The server could not prepare a statement that was expected to be prepared.
    mutating func couldNotPrepare(_ sql: String) {
        guard let index = entries.firstIndex(where: { $0.sql == sql }) else { return }
        entries[index].state = .unknown
    }

    /// `daruma_` and the text's 128-bit FNV-1a hash: the same in every process, and below the server's limit for names.
    static func name(for sql: String) -> String {
        let prime = UInt128(1) << 88 | 0x13B
        var hash: UInt128 = 0x6C62_272E_07BB_0142_62B8_2175_6295_C58D
        for byte in sql.utf8 { hash = (hash ^ UInt128(byte)) &* prime }
        let digits = String(hash, radix: 16)
        return "daruma_" + String(repeating: "0", count: 32 - digits.count) + digits
    }
}
