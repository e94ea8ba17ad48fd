import DispatchPostgres
import PostgresTestKit
import Testing

@testable import PostgresClient

/// A relay cuts the connection around COMMIT.
@Suite(.timeLimit(.minutes(2))) struct LostCommitTests {
    @Test("a lost answer to COMMIT is an error of its own, and nothing runs again", arguments: [true, false])
    func lostAnswer(reachesServer: Bool) async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            let relay = try FaultRelay(to: sandbox.port)
            try await withClient(sandbox.connectionURL(port: relay.port)) { client in
                _ = try await client.query("create table rows (id bigint)")
                var runs = 0
                let error = await #expect(throws: PostgresClientError.self) {
                    try await client.withTransaction(retry: .upTo(5)) { transaction in
                        runs += 1
                        _ = try await transaction.query("insert into rows values (1)")
                        relay.behave(
                            reachesServer ? .init(toClient: .stalled) : .init(toServer: .stalled, toClient: .stalled))
                        Task {
                            // By then COMMIT is on its way: the client waits for its answer.
                            if reachesServer {
                                try await eventually("committed") {
                                    try await sandbox.execute("select count(*) from rows", database: "mydb") == "1"
                                }
                            } else {
                                try await Task.sleep(for: .milliseconds(100))
                            }
                            relay.resetAll()
                            relay.behave(.forwarding)
                        }
                    }
                }
                #expect(error?.kind == .outcomeUnknown)
                #expect(error?.isSafeToRetry == false)
                #expect(error?.cause != nil)
                #expect(runs == 1)
                let count = try await client.query("select count(*) from rows", isIdempotent: true).decodeOne(Int.self)
                #expect(count == (reachesServer ? 1 : 0))
            }
            await relay.shutDown()
        }
    }

    @Test("an answer to COMMIT that takes too long is one, too")
    func lateAnswer() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            let relay = try FaultRelay(to: sandbox.port)
            try await withClient(sandbox.connectionURL(port: relay.port), { $0.timeout = .seconds(1) }) { client in
                _ = try await client.query("create table rows (id bigint)", timeout: .seconds(20))
                let error = await #expect(throws: PostgresClientError.self) {
                    try await client.withTransaction(timeout: .seconds(20)) { transaction in
                        _ = try await transaction.query("insert into rows values (1)", timeout: .seconds(20))
                        relay.behave(.init(toClient: .stalled))
                    }
                }
                #expect(error?.kind == .outcomeUnknown)
                #expect(error?.cause?.code == PostgresError.Code.queryTimeout)
                relay.behave(.forwarding)
            }
            await relay.shutDown()
        }
    }

    @Test(
        "a session that ends between the last statement and COMMIT is a lost one: rolled back, and safe to run again",
        arguments: [true, false])
    func lostBeforeCommit(isTerminated: Bool) async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            let relay = try FaultRelay(to: sandbox)
            try await withClient(sandbox.connectionURL(port: relay.port)) { client in
                _ = try await client.query("create table rows (id bigint)")
                let error = await #expect(throws: PostgresClientError.self) {
                    try await client.withTransaction { transaction in
                        _ = try await transaction.query("insert into rows values (1)")
                        let connection = await transaction.session.connection
                        if isTerminated { try await sandbox.terminateSessions() } else { relay.resetAll() }
                        try await eventually("the end is seen") { await !connection.isInTransaction }
                    }
                }
                #expect(error?.kind == .connectionLost)
                #expect(error?.isSafeToRetry == true)
                #expect(error?.cause != nil)
                #expect(try await client.query("select count(*) from rows").decodeOne(Int.self) == 0)
            }
            await relay.shutDown()
        }
    }

    @Test("a lost answer of a single statement: safe to repeat only if it is idempotent", arguments: [true, false])
    func lostStatement(isIdempotent: Bool) async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            let relay = try FaultRelay(to: sandbox.port)
            try await withClient(sandbox.connectionURL(port: relay.port), { $0.timeout = .seconds(1) }) { client in
                _ = try await client.query("select 1", timeout: .seconds(20))
                relay.behave(.blackHole)
                let error = await #expect(throws: PostgresClientError.self) {
                    try await client.query("select 1", isIdempotent: isIdempotent)
                }
                #expect(error?.isSafeToRetry == isIdempotent)
                relay.behave(.forwarding)
            }
            await relay.shutDown()
        }
    }
}
