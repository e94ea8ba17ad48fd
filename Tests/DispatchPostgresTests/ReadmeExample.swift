import DispatchPostgres

/// Reads and changes accounts, across outages of the database.
@LoopActor
struct Accounts {
    private let pool: PostgresPool

    init(_ url: String) {
        var settings = PoolSettings()
        settings.maximum = 20
        pool = PostgresPool(ConnectionConfiguration(url), settings: settings)
        pool.start()  // An unreachable database is not an error: the pool searches until it answers.
    }

    /// The balance; `nil` without such an account. Throws `PoolError` when no connection is available (at once during
    /// an outage), `PostgresError` when the database rejects the query.
    func balance(of name: String) async throws -> String? {
        let deadline = MonotonicTime.now() + .seconds(1)
        let connection = try await pool.checkOut(deadline: deadline)
        defer { pool.release(connection) }
        let result = try await connection.query(
            "select balance from accounts where name = $1", parameters: [name],
            isIdempotent: true,  // Reading twice does no harm: the pool runs it again if the session dies.
            deadline: deadline)
        return result.values.first ?? nil
    }

    /// Several statements on one connection. If `body` throws, the pool rolls the open transaction back.
    func transfer(_ amount: String, from: String, to: String) async throws {
        let deadline = MonotonicTime.now() + .seconds(1)
        try await pool.withConnection(deadline: deadline) { connection in
            _ = try await connection.query("begin", deadline: deadline)
            for (name, sign) in [(from, "-"), (to, "+")] {
                _ = try await connection.query(
                    "update accounts set balance = balance \(sign) $1::numeric where name = $2",
                    parameters: [amount, name], deadline: deadline)
            }
            _ = try await connection.query("commit", deadline: deadline)
        }
    }

    func close() async {
        await pool.close(deadline: .now() + .seconds(5))
    }
}
