import DispatchLoop
import PostgresTestKit
import Testing

@testable import PostgresSession

/// Counts how often it is told of silence.
private final class CountingClient: StatementDelegate {
    var silences = 0
    var continuation: CheckedContinuation<Result<QueryResult, PostgresError>, Never>?

    func connection(_ connection: PostgresConnection, ended result: Result<QueryResult, PostgresError>) {
        continuation?.resume(returning: result)
    }

    func connectionIsSilent(_ connection: PostgresConnection) {
        silences += 1
    }
}

@LoopActor
@Suite(.timeLimit(.minutes(2))) struct SessionEndTests {
    @Test("a statement given up in the round in which it was begun was never sent, and says so")
    func givenUpBeforeSent() async throws {
        let connection = try await connect()
        let result = await withCheckedContinuation { continuation in
            connection.start(Statement("select 1"), deadline: soon) { continuation.resume(returning: $0) }
            connection.abandonStatement()
        }
        guard case .failure(let error) = result else {
            Issue.record("the statement succeeded although it was given up")
            return
        }
        #expect(error.wasNeverSent, "it may be run again elsewhere, whatever it does")
    }

    @Test("a query past its deadline fails, and its connection is closed")
    func deadline() async throws {
        let connection = try await connect()
        let error = await #expect(throws: PostgresError.self) {
            try await connection.query("select pg_sleep(60)", deadline: .now() + .milliseconds(20))
        }
        #expect(error?.code == PostgresError.Code.queryTimeout)
        #expect(connection.isClosed)
        let after = await #expect(throws: PostgresError.self) { try await connection.query("select 1", deadline: soon) }
        #expect(after?.code == PostgresError.Code.closed)
    }

    @Test("a cancelled task ends its query at once")
    func cancellation() async throws {
        let connection = try await connect()
        let task = Task { try await connection.query("select pg_sleep(60)", deadline: soon) }
        try await eventually("the query runs") { !connection.isIdle }
        task.cancel()
        let error = await #expect(throws: PostgresError.self) { try await task.value }
        #expect(error?.code == PostgresError.Code.cancelled)
    }

    @Test("silence is reported once, and the answer still counts")
    func silence() async throws {
        let connection = try await connect()
        let client = CountingClient()
        let result = await withCheckedContinuation { continuation in
            client.continuation = continuation
            connection.start(
                Statement("select pg_sleep(2)"), deadline: soon, silence: 10_000_000, client: client)
        }
        #expect(client.silences == 1)
        #expect(throws: Never.self) { try result.get() }
    }

    @Test("an idle session that is terminated is heard of with its SQLSTATE, without asking")
    func terminatedIdle() async throws {
        let connection = try await connect()
        let sandbox = try await SharedSandbox.get()
        let error: PostgresError = try await withCheckedThrowingContinuation { continuation in
            connection.onEnd = { continuation.resume(returning: $0) }
            Task {
                do {
                    _ = try await sandbox.execute("select pg_terminate_backend(\(connection.backendProcessID))")
                } catch { continuation.resume(throwing: error) }
            }
        }
        #expect(error.code == "57P01")
        #expect(error.disposition == .terminated)
        #expect(connection.isClosed)
    }

    @Test("a session terminated in mid-query fails with the SQLSTATE")
    func terminatedBusy() async throws {
        let connection = try await connect()
        let sandbox = try await SharedSandbox.get()
        async let outcome: QueryResult = connection.query("select pg_sleep(60)", deadline: soon)
        let pid = connection.backendProcessID
        try await eventually("the query runs") {
            try await sandbox.execute("select state from pg_stat_activity where pid = \(pid)") == "active"
        }
        _ = try await sandbox.execute("select pg_terminate_backend(\(pid))")
        do {
            _ = try await outcome
            Issue.record("expected the query to fail with 57P01")
        } catch {
            #expect((error as? PostgresError)?.code == "57P01")
        }
        #expect(connection.isClosed)
    }

    @Test("the free check finds the end of a session that the loop has not looked at yet, provably before sending")
    func freeCheck() async throws {
        let connection = try await connect()
        #expect(connection.checkForEnd() == nil)
        let sandbox = try await SharedSandbox.get()
        _ = try await sandbox.execute("select pg_terminate_backend(\(connection.backendProcessID))")
        // Either the loop has seen it by now, or the check does.
        var found: PostgresError?
        try await eventually("the end is found") {
            found = connection.checkForEnd()
            return found != nil
        }
        #expect(found?.wasNeverSent == true)
        #expect(connection.isClosed)
    }
}
