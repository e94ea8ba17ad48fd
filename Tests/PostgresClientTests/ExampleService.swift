// What a service of its own writes: one import, no isolation of the client's in sight.
import PostgresClient

/// Accounts with transfers between them.
struct AccountService: Sendable {
    enum Currency: String, PostgresCodable { case euro, franc }

    struct Account: Sendable, Equatable {
        var id: Int
        var name: String
        var currency: Currency
        var balance: Int
        var tags: [String]
        var note: String?
    }

    struct NotEnough: Error, Equatable {
        var missing: Int
    }

    let client: PostgresClient

    func createTables() async throws {
        _ = try await client.query(
            """
            create table accounts (
                id bigint generated always as identity primary key, name text not null unique,
                currency text not null, balance integer not null check (balance >= 0),
                tags text[] not null, note text)
            """)
    }

    func open(_ name: String, _ currency: Currency, balance: Int, tags: [String], note: String?) async throws -> Int {
        try await client.query(
            """
            insert into accounts (name, currency, balance, tags, note)
            values (\(name), \(currency), \(balance), \(tags), \(note)) returning id
            """
        ).decodeOne(Int.self)
    }

    func account(_ id: Int) async throws -> Account? {
        let rows = try await client.query(
            "select id, name, currency, balance, tags, note from accounts where id = \(id)", isIdempotent: true)
        return try rows.first.map { row in
            try Account(
                id: row["id"], name: row["name"], currency: row["currency"], balance: row["balance"],
                tags: row["tags"], note: row["note"])
        }
    }

    /// Takes from one account and gives to another, or does neither.
    func transfer(_ amount: Int, from: Int, to: Int) async throws {
        try await client.withTransaction(isolation: .serializable, retry: .upTo(20)) { transaction in
            let balance = try await transaction.query("select balance from accounts where id = \(from)")
                .decodeOne(Int.self)
            guard balance >= amount else { throw NotEnough(missing: amount - balance) }
            try await add(-amount, to: from, in: transaction)
            try await add(amount, to: to, in: transaction)
        }
    }

    private func add(_ amount: Int, to id: Int, in transaction: PostgresTransaction) async throws {
        _ = try await transaction.query("update accounts set balance = balance + \(amount) where id = \(id)")
    }

    func total() async throws -> Int {
        try await client.query("select coalesce(sum(balance), 0) from accounts", isIdempotent: true).decodeOne(Int.self)
    }
}

/// A user of the client with an isolation of its own.
actor Counter {
    private(set) var count = 0
    /// Not Sendable: it never leaves the actor.
    private final class Log { var lines: [String] = [] }
    private let log = Log()

    func countTables(_ client: PostgresClient) async throws -> Int {
        // The body runs on this actor, and changes its state.
        try await client.withConnection { connection in
            count += 1
            let log = log
            log.lines.append("asked")
            let tables = try await connection.query("select count(*) from pg_class").decodeOne(Int.self)
            log.lines.append("answered")
            count += 1
            return log.lines.count == 2 * (count / 2) && tables > 0 ? count : 0
        }
    }
}
