import DispatchPostgres

/// Reads accounts, however often the database has been away in between.
@LoopActor
struct Accounts {
    private let pool: PostgresPool

    init(_ url: String) {
        var settings = PoolSettings()
        settings.maximum = 20
        pool = PostgresPool(ConnectionConfiguration(url), settings: settings)
        pool.start()  // A database that is away is no error: the pool looks for it.
    }

    /// The balance; `nil` when there is no such account. Throws `PoolError` when no connection is to be had (at once
    /// while the database is known to be away), `PostgresError` when the database refuses the query.
    func balance(of name: String) async throws -> String? {
        let deadline = MonotonicTime.now() + .seconds(1)
        let connection = try await pool.checkOut(deadline: deadline)
        defer { pool.release(connection) }
        let result = try await connection.query(
            "select balance from accounts where name = $1", parameters: [name],
            isIdempotent: true,  // Reading twice does no harm: run again if the session dies under it.
            deadline: deadline)
        return result.values.first ?? nil
    }

    func close() async {
        await pool.close(deadline: .now() + .seconds(5))
    }
}
