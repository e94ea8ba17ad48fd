import PostgresClient
import PostgresTestKit
import Testing

/// Counts visits.
struct VisitCounter: Sendable {
    let client: PostgresClient

    /// Counting the same visit twice does no harm, so that the client may repeat the statement.
    func count(visit: Int, timeout: Duration? = nil) async throws {
        _ = try await client.query(
            "insert into visits values (\(visit)) on conflict do nothing", isIdempotent: true, timeout: timeout)
    }

    func total() async throws -> Int {
        try await client.query("select count(*) from visits", isIdempotent: true).decodeOne(Int.self)
    }
}

@Test("a restart is not seen, an outage that lasts is an error, and after it the counter counts on")
func visitCounterSurvivesAnOutage() async throws {
    try await PostgresSandbox.withSandbox { database in
        try await database.execute("create table visits (id bigint primary key)", database: "mydb")
        var settings = PostgresClient.Settings()
        // How long a statement waits for a database that is down. No limit of a test should measure the machine.
        settings.pool.outageGrace = .seconds(30)
        settings.timeout = .seconds(30)
        let client = PostgresClient(ConnectionConfiguration(database.connectionURL()), settings: settings)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await client.run() }
            let counter = VisitCounter(client: client)

            async let restart = database.restart()
            for visit in 1...100 { try await counter.count(visit: visit) }
            _ = try await restart
            #expect(try await counter.total() == 100)

            try await database.stop()
            let error = await #expect(throws: PostgresClientError.self) {
                try await counter.count(visit: 101, timeout: .milliseconds(100))
            }
            #expect(error?.isSafeToRetry == true)

            try await database.start()
            try await counter.count(visit: 101)
            #expect(try await counter.total() == 101)
            group.cancelAll()
        }
    }
}
