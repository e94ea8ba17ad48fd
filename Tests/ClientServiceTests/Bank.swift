// What a service of its own writes: one import, and nothing of the client's isolation.
import PostgresClient

/// Accounts, and transfers between them.
struct Bank: Sendable {
    /// What keeps transfers of the same accounts apart.
    enum Isolation: CaseIterable, Sendable {
        /// The server undoes one of two that would disturb each other; it runs again.
        case serializable
        /// The second waits for the first.
        case rowLocks
    }

    struct NotEnough: Error {}

    let client: PostgresClient

    func createTables(accounts: Int, balance: Int) async throws {
        _ = try await client.query(
            """
            create table accounts (id bigint primary key, balance bigint not null check (balance >= 0));
            create table transfers (
                id bigint primary key, amount bigint not null, giver bigint not null, taker bigint not null)
            """)
        _ = try await client.query(
            "insert into accounts select id, \(balance) from generate_series(1, \(accounts)) id")
    }

    /// Takes from one account and gives to another, and notes it under `id`, or does nothing.
    func transfer(_ amount: Int, from giver: Int, to taker: Int, id: Int, _ isolation: Isolation) async throws {
        try await client.withTransaction(
            isolation: isolation == .serializable ? .serializable : .readCommitted, retry: .upTo(10)
        ) { transaction in
            if isolation == .rowLocks {
                // In one order, so that two transfers never wait for each other.
                _ = try await transaction.query(
                    "select 1 from accounts where id in (\(giver), \(taker)) order by id for update")
            }
            let balance = try await transaction.query("select balance from accounts where id = \(giver)")
                .decodeOne(Int.self)
            guard balance >= amount else { throw NotEnough() }
            try await add(-amount, to: giver, in: transaction)
            try await add(amount, to: taker, in: transaction)
            _ = try await transaction.query(
                "insert into transfers values (\(id), \(amount), \(giver), \(taker))")
        }
    }

    private func add(_ amount: Int, to id: Int, in transaction: borrowing PostgresTransaction) async throws {
        _ = try await transaction.query("update accounts set balance = balance + \(amount) where id = \(id)")
    }

    func total() async throws -> Int {
        try await client.query("select sum(balance)::bigint from accounts", isIdempotent: true).decodeOne(Int.self)
    }

    /// The accounts whose balance is not what the noted transfers make of `balance`.
    func wrongAccounts(balance: Int) async throws -> [Int] {
        try await client.query(
            """
            select id from accounts where balance <> \(balance)
                + coalesce((select sum(amount)::bigint from transfers where taker = accounts.id), 0)
                - coalesce((select sum(amount)::bigint from transfers where giver = accounts.id), 0)
            """, isIdempotent: true
        ).decode(Int.self)
    }

    /// The transfers that were made.
    func transfers() async throws -> Set<Int> {
        Set(try await client.query("select id from transfers", isIdempotent: true).decode(Int.self))
    }
}
