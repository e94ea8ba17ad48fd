import DispatchLoop
import PostgresTestKit
import Testing

@testable import PostgresSession

@LoopActor
@Suite(.timeLimit(.minutes(2))) struct PostgresConnectionTests {
    @Test("a server's texts are cut at 1 KiB and marked")
    func longMessage() async throws {
        let connection = try await connect()
        let statement = """
            do $$ begin raise exception using message = repeat('x', 20000), detail = repeat('ä', 20000),
            hint = repeat('€', 20000); end $$
            """
        let error = await #expect(throws: PostgresError.self) { try await connection.query(statement, deadline: soon) }
        for text in [error?.message, error?.detail, error?.hint] {
            let text = text ?? ""
            #expect(text.utf8.count > 1_000 && text.utf8.count <= 1_024)
            #expect(text.hasSuffix("…"))
        }
    }

    @Test("select 1 returns its row, its column and its command tag")
    func selectOne() async throws {
        let connection = try await connect()
        let result = try await connection.query("select 1", deadline: soon)
        #expect(result.command == "SELECT")
        #expect(result.rowCount == 1)
        #expect(result.values == ["1"])
        #expect(
            result.columns == [
                QueryResult.Column(name: "?column?", typeID: 23, typeSize: 4)
            ])
        #expect(connection.backendProcessID > 0)
        #expect(connection.isIdle)
    }

    @Test("parameters are values, not part of the statement; NULL and the empty string differ")
    func parameters() async throws {
        let connection = try await connect()
        let result = try await connection.query(
            "select $1::text, $2::text, $3::text", parameters: ["'; drop table x; --", nil, ""], deadline: soon)
        #expect(result.values == ["'; drop table x; --", nil, ""])
    }

    @Test("rows keep their order, and text its characters")
    func rows() async throws {
        let connection = try await connect()
        let result = try await connection.query("select i, 'Zürich ' || i from generate_series(1, 3) i", deadline: soon)
        #expect(result.rows.map { Array($0) } == [["1", "Zürich 1"], ["2", "Zürich 2"], ["3", "Zürich 3"]])
    }

    @Test("several statements return the last result, or the first error")
    func several() async throws {
        let connection = try await connect()
        #expect(try await connection.query("select 1; select 2", deadline: soon).values == ["2"])
        await #expect(throws: PostgresError.self) {
            try await connection.query("select 1/0; select 2", deadline: soon)
        }
        #expect(try await connection.query("", deadline: soon).columns.isEmpty)
        #expect(connection.isIdle)
    }

    @Test("a statement's error keeps the connection usable")
    func statementError() async throws {
        let connection = try await connect()
        let error = await #expect(throws: PostgresError.self) {
            try await connection.query("select 1/0", deadline: soon)
        }
        #expect(error?.code == "22012")
        #expect(error?.severity == .error)
        #expect(error?.disposition == .statement)
        #expect(try await connection.query("select 7", deadline: soon).values == ["7"])
    }

    @Test("a result larger than any buffer arrives complete")
    func large() async throws {
        let connection = try await connect()
        let result = try await connection.query("select repeat('x', 5000000)", deadline: soon)
        #expect(result.values.first??.utf8.count == 5_000_000)
    }

    @Test("a statement larger than the socket's buffer is sent completely")
    func largeStatement() async throws {
        let connection = try await connect()
        let text = String(repeating: "y", count: 8_000_000)
        let result = try await connection.query("select length($1)", parameters: [text], deadline: soon)
        #expect(result.values == ["8000000"])
    }

    @Test("a second statement while one runs is refused, and the first is unaffected")
    func busy() async throws {
        let connection = try await connect()
        async let slow = connection.query("select pg_sleep(0.05)", deadline: soon)
        var refusal: PostgresError?
        while refusal == nil, !connection.isIdle || connection.lastReplyAt.nanoseconds == 0 {
            do throws(PostgresError) { _ = try await connection.query("select 1", deadline: soon) } catch {
                refusal = error
            }
        }
        _ = try await slow
        if let refusal { #expect(refusal.code == PostgresError.Code.busy) }
        #expect(try await connection.query("select 2", deadline: soon).values == ["2"])
    }

    @Test("notifications arrive on an idle session")
    func notifications() async throws {
        let connection = try await connect()
        let sandbox = try await SharedSandbox.get()
        _ = try await connection.query("listen news", deadline: soon)
        let text: String = try await withCheckedThrowingContinuation { continuation in
            connection.onNotification = { continuation.resume(returning: "\($0.channel): \($0.payload)") }
            Task {
                do { _ = try await sandbox.execute("notify news, 'hello'", database: "mydb") } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
        #expect(text == "news: hello")
    }

    @Test("COPY fails instead of hanging")
    func copy() async throws {
        let connection = try await connect()
        let error = await #expect(throws: PostgresError.self) {
            try await connection.query("copy (select 1) to stdout", deadline: soon)
        }
        #expect(error?.code == "0A000")
        #expect(connection.isClosed)
    }

    @Test("an open transaction is known")
    func transaction() async throws {
        let connection = try await connect()
        #expect(!connection.isInTransaction)
        _ = try await connection.query("begin", deadline: soon)
        #expect(connection.isInTransaction)
        _ = try? await connection.query("select 1/0", deadline: soon)
        #expect(connection.isInTransaction)
        _ = try await connection.query("rollback", deadline: soon)
        #expect(!connection.isInTransaction)
    }
}
