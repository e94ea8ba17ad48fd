/// Tracks which statements a session has prepared, and decides what to send. Pure.
///
/// ```
///   unknown ── prepare, execute ──▶ prepared ── execute ──▶ prepared
///      ▲                      │ 26000: not found at the server
///      └──────────────────────┤
///                             │ 26000 too often, or 0A000: the result's columns changed
///                             └──────▶ text, permanently
/// ```
///
/// The name is a hash of the text, so it means the same in every session. PgBouncer with `pool_mode = transaction`
/// switches server sessions between transactions: there, a statement may already exist when it is prepared (it is then
/// the same one), or may be missing when it is executed (nothing has then been executed).
struct PreparedStatements {
    /// What to send.
    enum Step: Hashable {
        /// Send the text.
        case text
        /// Prepare the text under this name and execute it, in one message sequence.
        case prepare(name: String)
        /// Execute the statement prepared under this name.
        case execute(name: String)
    }

    private struct Entry {
        enum State { case unknown, prepared, textOnly }

        let sql: String
        let name: String
        var state = State.unknown
    }

    /// Maximum prepared statements per session, because they cost server memory. Further ones are sent as text.
    static let capacity = 64
    /// After more misses than this, the session counts as shared by a pooler, and prepares nothing more.
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

    /// What to send next after `step`, which failed with the SQLSTATE `code` or succeeded; `nil` if the statement is
    /// done.
    ///
    /// Only for statements outside transactions: inside one, a failure aborts the transaction.
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

    /// Marks a statement as prepared before the server confirms it, so that pipelined statements behind it can use it.
    mutating func expectPrepared(_ sql: String) {
        guard let index = entries.firstIndex(where: { $0.sql == sql }) else { return }
        entries[index].state = .prepared
    }

    /// Reverts ``expectPrepared(_:)``: the server could not prepare the statement.
    mutating func couldNotPrepare(_ sql: String) {
        guard let index = entries.firstIndex(where: { $0.sql == sql }) else { return }
        entries[index].state = .unknown
    }

    /// The server has none any more. Whether a pooler shares the session is still known.
    mutating func forgetAll() { entries = [] }

    /// `stmt_` and the text's 128-bit FNV-1a hash: the same in every process, and below the server's limit of 63 bytes.
    static func name(for sql: String) -> String {
        let prime = UInt128(1) << 88 | 0x13B
        var hash: UInt128 = 0x6C62_272E_07BB_0142_62B8_2175_6295_C58D
        for byte in sql.utf8 { hash = (hash ^ UInt128(byte)) &* prime }
        let digits = String(hash, radix: 16)
        return "stmt_" + String(repeating: "0", count: 32 - digits.count) + digits
    }
}
