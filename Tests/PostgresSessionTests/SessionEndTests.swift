import DispatchLoop
import PostgresTestKit
import Testing

@testable import PostgresSession

/// Counts reports of silence.
private final class CountingClient: StatementDelegate {
    var silences = 0
    var continuation: CheckedContinuation<Result<QueryResult, PostgresError>, Never>?

    func connection(_ connection: PostgresConnection, finished result: Result<QueryResult, PostgresError>) {
        continuation?.resume(returning: result)
    }

    func connectionIsSilent(_ connection: PostgresConnection) {
        silences += 1
    }
}

@LoopActor
@Suite(.timeLimit(.minutes(2))) struct SessionEndTests {
    @Test("a statement whose session is closed in the round of its start was never sent, and its error says so")
    func closedBeforeSent() async throws {
        let connection = try await connect()
        let result = await withCheckedContinuation { continuation in
            connection.start(Statement("select 1"), deadline: soon) { continuation.resume(returning: $0) }
            connection.close()
        }
        guard case .failure(let error) = result else {
            Issue.record("the statement succeeded although its session was closed")
            return
        }
        #expect(error.wasNeverSent, "it can be retried whatever it does")
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

    @Test("silence is reported once, and the result is still delivered")
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

    @Test("the end of an idle session is reported at once, with its SQLSTATE")
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

    @Test("a query fails with the SQLSTATE when its session is terminated")
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

    @Test("checkForEnd finds the end of a session before the loop does, so nothing was sent")
    func freeCheck() async throws {
        let connection = try await connect()
        #expect(connection.checkForEnd() == nil)
        let sandbox = try await SharedSandbox.get()
        _ = try await sandbox.execute("select pg_terminate_backend(\(connection.backendProcessID))")
        // The loop may notice the end first.
        var found: PostgresError?
        try await eventually("the end is found") {
            found = connection.checkForEnd()
            return found != nil
        }
        #expect(found?.wasNeverSent == true)
        #expect(connection.isClosed)
    }

    // MARK: Notices

    @Test(
        "a notice or warning raised with the SQLSTATE of a shutdown does not end the session",
        arguments: ["notice", "warning"])
    func raised(severity: String) async throws {
        let connection = try await connect()
        let raise = "do $$ begin raise \(severity) 'x' using errcode = '57P01'; end $$"
        _ = try await connection.query(raise, deadline: soon)
        let pid = try await connection.query("select pg_backend_pid()", deadline: soon).values
        #expect(pid == ["\(connection.backendProcessID)"])
        #expect(connection.checkForEnd() == nil)
        #expect(connection.notices.cause == nil, "the session has outlived it")
    }

    @Test("the end of an idle session by an immediate shutdown has the server's warning as its cause")
    func immediateShutdown() async throws {
        try await PostgresSandbox.withSandbox { sandbox async throws in
            let connection = try await connect(sandbox.connectionURL())
            // A server process that has not returned from its latest write yet sends no warning.
            let state = "select wait_event from pg_stat_activity where pid = \(connection.backendProcessID)"
            try await eventually("the server waits for a statement") {
                try await sandbox.execute(state) == "ClientRead"
            }
            let error: PostgresError = try await withCheckedThrowingContinuation { continuation in
                connection.onEnd = { continuation.resume(returning: $0) }
                Task {
                    do { try await sandbox.stop(.immediate) } catch { continuation.resume(throwing: error) }
                }
            }
            #expect(error.severity == .warning)
            #expect(error.code.hasPrefix("57P0"))
        }
    }

    @Test("only FATAL and PANIC notices end a session; a shutdown warning is kept as the cause of an end")
    func severities() {
        for (severity, isFatal, isCause) in [
            (Severity.notice, false, false), (.warning, false, true), (.fatal, true, true), (.panic, true, true),
        ] {
            let notices = NoticeReceiver()
            notices.take(PostgresError(code: "57P02", severity: severity, message: "crash", disposition: .outage))
            #expect(notices.hasFatalNotice == isFatal, "\(severity)")
            #expect((notices.cause != nil) == isCause, "\(severity)")
        }
        let notices = NoticeReceiver()
        notices.take(PostgresError(code: "01000", severity: .warning, message: "x", disposition: .statement))
        #expect(notices.cause == nil)
    }

    @Test(
        "of libpq's own notices, which have no SQLSTATE, only an out-of-step message ends the session, without an outage",
        arguments: [
            ("message type 0x44 arrived from server while idle\n", true),
            ("row number 3 is out of range 0..1\n", false),
        ])
    func withoutSQLState(text: String, isFatal: Bool) {
        let notices = NoticeReceiver()
        notices.take(LibpqMessageParser.error(in: text, phase: .session, endpoint: nil))
        #expect(notices.hasFatalNotice == isFatal)
        #expect(notices.cause?.disposition == (isFatal ? .discard : nil))
    }

    @Test("a server message that belongs to no statement ends the session, without an outage")
    func outOfStep() async throws {
        let gate = Gate()
        let server = try ScriptedServer { connection, _ in
            ScriptedServer.read(connection)
            let ready: [UInt8] = [UInt8(ascii: "Z"), 0, 0, 0, 5, UInt8(ascii: "I")]
            ScriptedServer.send(connection, ScriptedServer.authentication(0, []) + ready)
            gate.wait()
            ScriptedServer.send(connection, [UInt8(ascii: "D"), 0, 0, 0, 6, 0, 0])
            ScriptedServer.read(connection)
        }
        let connection = try await connect("postgres://u@127.0.0.1:\(server.port)/x?sslmode=disable")
        let error = await withCheckedContinuation { continuation in
            connection.onEnd = { continuation.resume(returning: $0) }
            gate.open()
        }
        #expect(error.message == "message type 0x44 arrived from server while idle")
        #expect(error.disposition == .discard)
    }
}
