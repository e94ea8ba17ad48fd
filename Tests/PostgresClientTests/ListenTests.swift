import PostgresTestKit
import Testing

@testable import PostgresClient

@Suite("LISTEN on a lease", .timeLimit(.minutes(2)))
struct ListenTests {
    @Test(
        "statements that begin with it",
        arguments: [
            "listen news", "LISTEN \"News\"", "listen\"News\"", " \n\tListen news", "unlisten *", "UNLISTEN news",
            "-- a comment\nlisten news", "/* a /* nested */ comment */listen news", ";;listen news", "listen",
            "unlisten;",
        ])
    func begins(sql: String) {
        #expect(sql.beginsWithListen)
        #expect(throws: PostgresClientError.self) { try SQLStatement(unescaped: sql).encoded() }
    }

    @Test(
        "statements that do not",
        arguments: [
            "", "select 1", "-- listen news", "/* listen", "/* listen news */ select 1", "listening", "listen_to()",
            "update t set n = 1", "unlisted", "unlisten2", "lock t", "listenä", "'listen'", "select 'listen'",
            "notify news",
            "-", "/", "lis",
        ])
    func beginsNot(sql: String) {
        #expect(!sql.beginsWithListen)
    }

    @Test("it is refused with a hint wherever a statement can be, and the connection goes on")
    func refused() async throws {
        try await withSharedClient { client in
            func check(_ error: PostgresClientError?) {
                #expect(error?.kind == .misuse)
                #expect(error?.isSafeToRetry == false)
                #expect(error?.description.contains("subscribe(to:)") == true)
            }
            check(await #expect(throws: PostgresClientError.self) { try await client.query("listen news") })
            check(
                await #expect(throws: PostgresClientError.self) {
                    try await client.withRows("unlisten *") { rows in for try await _ in rows {} }
                })
            try await client.withConnection { connection in
                check(await #expect(throws: PostgresClientError.self) { try await connection.query("LISTEN news") })
                let seven = try await connection.query("select 7").decodeOne(Int.self)
                #expect(seven == 7)
            }
            try await client.withTransaction { transaction in
                check(await #expect(throws: PostgresClientError.self) { try await transaction.query("listen news") })
                let seven = try await transaction.query("select 7").decodeOne(Int.self)
                #expect(seven == 7)
            }
            let channels = try await client.query("select count(*) from pg_listening_channels()").decodeOne(Int.self)
            #expect(channels == 0)
        }
    }
}
