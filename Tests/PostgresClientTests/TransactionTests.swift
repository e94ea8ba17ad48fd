import DispatchLoop
import PostgresClient
import PostgresTestKit
import Testing

/// Against the shared server; each test has a table of its own.
@Suite(.timeLimit(.minutes(2))) struct TransactionTests {
    /// A client, and a table with the rows 1 and 2.
    private func withTable(
        _ name: String = #function, _ body: (PostgresClient, SQLStatement.Table) async throws -> Void
    ) async throws {
        let table = SQLStatement.Table("t_" + name.prefix { $0 != "(" })
        try await withSharedClient { client in
            _ = try await client.query(
                "create table \(table) (id bigint primary key, value bigint); insert into \(table) values (1, 0), (2, 0)"
            )
            try await body(client, table)
        }
    }

    private func ids(_ client: PostgresClient, _ table: SQLStatement.Table) async throws -> [Int] {
        try await client.query("select id from \(table) order by id").decode(Int.self)
    }

    @Test("commits, and gives the body's value")
    func commits() async throws {
        try await withTable { client, table in
            let value = try await client.withTransaction { transaction in
                _ = try await transaction.query("insert into \(table) values (\(3), 0)")
                return "done"
            }
            #expect(value == "done")
            #expect(try await ids(client, table) == [1, 2, 3])
        }
    }

    @Test("rolls back when the body throws, before the error arrives")
    func rollsBack() async throws {
        struct Own: Error {}
        try await withTable { client, table in
            await #expect(throws: Own.self) {
                try await client.withTransaction { transaction in
                    _ = try await transaction.query("insert into \(table) values (3, 0)")
                    throw Own()
                }
            }
            #expect(try await ids(client, table) == [1, 2])
            let open = try await client.query(
                """
                select count(*) from pg_stat_activity
                where state like 'idle in transaction%' and query like \("%" + table.name + "%")
                """)
            #expect(try open.decodeOne(Int.self) == 0)
        }
    }

    @Test("has the isolation level and the access mode that it asks for")
    func modes() async throws {
        try await withSharedClient { client in
            for isolation in TransactionIsolation.allCases {
                let level = try await client.withTransaction(isolation: isolation) { transaction in
                    try await transaction.query("show transaction_isolation").decodeOne(String.self)
                }
                #expect(level == isolation.rawValue)
            }
            let deferrable = try await client.withTransaction(
                isolation: .serializable, readOnly: true, deferrable: true
            ) { try await $0.query("show transaction_deferrable").decodeOne(String.self) }
            #expect(deferrable == "on")
            let error = await #expect(throws: PostgresClientError.self) {
                try await client.withTransaction(readOnly: true) { transaction in
                    _ = try await transaction.query("create table never (x int)")
                }
            }
            #expect(error?.sqlState == .readOnlySQLTransaction)
        }
    }

    @Test("a body that swallows a statement's error does not lose the commit silently")
    func swallowed() async throws {
        try await withTable { client, table in
            let error = await #expect(throws: PostgresClientError.self) {
                try await client.withTransaction { transaction in
                    _ = try await transaction.query("insert into \(table) values (3, 0)")
                    _ = try? await transaction.query("insert into \(table) values (1, 0)")
                }
            }
            #expect(error?.kind == .rolledBack)
            #expect(error?.sqlState == .uniqueViolation)
            #expect(error?.isSafeToRetry == false)
            let read = try await ids(client, table)
            #expect(read == [1, 2])
        }
    }

    @Test("a body that ends the transaction itself is told so")
    func endedByItself() async throws {
        try await withTable { client, table in
            let error = await #expect(throws: PostgresClientError.self) {
                try await client.withTransaction { transaction in
                    _ = try await transaction.query("commit")
                }
            }
            #expect(error?.kind == .misuse)
            try await client.withConnection { connection in
                _ = try await connection.query("begin")
                let open = await #expect(throws: PostgresClientError.self) {
                    try await connection.withTransaction { _ in }
                }
                #expect(open?.kind == .misuse)
                _ = try await connection.query("rollback")
                try await connection.withTransaction { transaction in
                    _ = try await transaction.query("insert into \(table) values (3, 0)")
                }
            }
            #expect(try await ids(client, table) == [1, 2, 3])
        }
    }

    @Test("a constraint that is checked at COMMIT rejects it")
    func deferred() async throws {
        try await withTable { client, table in
            _ = try await client.query("update \(table) set value = id")
            _ = try await client.query(
                "alter table \(table) add constraint later unique (value) deferrable initially deferred")
            let error = await #expect(throws: PostgresClientError.self) {
                try await client.withTransaction { transaction in
                    _ = try await transaction.query("insert into \(table) values (3, 1)")
                }
            }
            #expect(error?.kind == .rejected)
            #expect(error?.sqlState == .uniqueViolation)
            #expect(error?.cause?.constraint == "later")
            #expect(try await ids(client, table) == [1, 2])
        }
    }

    @Test("a deadline that passes before COMMIT rolls back")
    func deadline() async throws {
        try await withTable { client, table in
            let error = await #expect(throws: PostgresClientError.self) {
                try await client.withTransaction(deadline: .now + .milliseconds(300)) { transaction in
                    _ = try await transaction.query("insert into \(table) values (3, 0)")
                    _ = try await transaction.query("select pg_sleep(60)")
                }
            }
            #expect(error?.kind == .timedOut)
            #expect(error?.isSafeToRetry == true)
            // Also of a transaction on a lease, and without a statement that takes too long.
            let late = await #expect(throws: PostgresClientError.self) {
                try await client.withConnection { connection in
                    let deadline = ContinuousClock.now + .milliseconds(300)
                    try await connection.withTransaction(deadline: deadline) { transaction in
                        _ = try await transaction.query("insert into \(table) values (3, 0)")
                        try await Task.sleep(until: deadline)
                    }
                }
            }
            #expect(late?.kind == .timedOut)
            let readAgain = try await ids(client, table)
            #expect(readAgain == [1, 2])
        }
    }

    @Test("savepoints nest: released when the body returns, rolled back when it throws")
    func savepoints() async throws {
        struct Own: Error {}
        try await withTable { client, table in
            try await client.withTransaction { transaction in
                try await transaction.withSavepoint { inner in
                    _ = try await inner.query("insert into \(table) values (3, 0)")
                    try? await inner.withSavepoint { innermost in
                        _ = try await innermost.query("insert into \(table) values (4, 0)")
                        throw Own()
                    }
                }
                let error = await #expect(throws: PostgresClientError.self) {
                    try await transaction.withSavepoint { inner in
                        _ = try await inner.query("insert into \(table) values (1, 0)")
                    }
                }
                #expect(error?.sqlState == .uniqueViolation)
                let swallowed = await #expect(throws: PostgresClientError.self) {
                    try await transaction.withSavepoint { inner in
                        _ = try? await inner.query("insert into \(table) values (1, 0)")
                    }
                }
                #expect(swallowed?.kind == .rolledBack)
                _ = try await transaction.query("insert into \(table) values (5, 0)")
            }
            #expect(try await ids(client, table) == [1, 2, 3, 5])
        }
    }
}

/// A table's name, which a test makes up.
extension SQLStatement {
    struct Table: Sendable {
        let name: String
        init(_ name: String) { self.name = name }
    }
}

extension SQLStatement.StringInterpolation {
    mutating func appendInterpolation(_ table: SQLStatement.Table) { appendInterpolation(identifier: table.name) }
}
