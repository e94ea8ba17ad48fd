import DispatchPostgres
import PostgresSession
import PostgresTestKit
import Testing

@testable import PostgresClient

@Suite(.timeLimit(.minutes(1))) struct ClientErrorTests {
    private func map(
        _ code: String, _ severity: Severity?, isIdempotent: Bool = false, isInTransaction: Bool = false,
        wasNeverSent: Bool = false, disposition: Disposition = .discard
    ) -> (PostgresClientError.Kind, Bool) {
        let error = PostgresClientError(
            PostgresError(
                code: code, severity: severity, message: "", disposition: disposition, wasNeverSent: wasNeverSent),
            isIdempotent: isIdempotent, isInTransaction: isInTransaction)
        return (error.kind, error.isSafeToRetry)
    }

    @Test("the kind, and whether it is safe to try again")
    func kinds() {
        #expect(map("23505", .error) == (.rejected, false))
        #expect(map("23505", .error, isInTransaction: true) == (.rejected, false))
        #expect(map("40001", .error) == (.rejected, true))
        #expect(map("40P01", .error) == (.rejected, true))
        #expect(map("55P03", .error) == (.rejected, true))
        #expect(map("EOF", nil) == (.connectionLost, false))
        #expect(map("EOF", nil, isIdempotent: true) == (.connectionLost, true))
        #expect(map("EOF", nil, isInTransaction: true) == (.connectionLost, true))
        #expect(map("EOF", nil, wasNeverSent: true) == (.connectionLost, true))
        #expect(map("57P01", .fatal) == (.connectionLost, false))
        #expect(map("QUERY_TIMEOUT", nil) == (.timedOut, false))
        #expect(map("QUERY_TIMEOUT", nil, isIdempotent: true) == (.timedOut, true))
        #expect(map("CANCELLED", nil, isIdempotent: true) == (.cancelled, false))
        #expect(map("NUL_CHARACTER", nil, wasNeverSent: true) == (.invalidStatement, false))
        for kind in [PoolError.Kind.unavailable, .saturated, .closed, .notStarted, .wrongProcess] {
            let error = PostgresClientError(PoolError(kind: kind, health: .up))
            #expect(error.kind == .unavailable && error.isSafeToRetry)
        }
        #expect(PostgresClientError(PoolError(kind: .cancelled, health: .up)).kind == .cancelled)
    }

    @Test("descriptions have no values, in all languages of the server; debug descriptions do")
    func descriptions() async throws {
        try await withSharedClient { client in
            _ = try await client.query(
                """
                create table descriptions (email text primary key, age int check (age > 0));
                insert into descriptions values ('secret', 1)
                """)
            for (statement, code) in [
                ("select \("secret")::int", "22P02"), ("select \("secret")::date", "22007"),
                ("insert into descriptions values (\("secret"), 1)", "23505"),
                ("do $$ begin raise exception 'secret'; end $$", "P0001"),
                ("do $$ begin raise exception using errcode = 'ZZ001', message = 'secret'; end $$", "ZZ001"),
            ] as [(SQLStatement, String)] {
                let error = await #expect(throws: PostgresClientError.self) { try await client.query(statement) }
                #expect(error?.sqlState?.rawValue == code)
                let text = error.map { "\($0)" } ?? ""
                #expect(text.contains(code) && !text.contains("secret"), "\(text)")
                #expect(error?.debugDescription.contains("secret") == true)
            }
        }
    }

    @Test("an error says what it concerns")
    func subjects() async throws {
        try await withSharedClient { client in
            _ = try await client.query(
                "create table subjects (id int constraint positive check (id > 0), name text not null)")
            let check = await #expect(throws: PostgresClientError.self) {
                try await client.query("insert into subjects values (\(-1), 'x')")
            }
            #expect(check?.sqlState == .checkViolation)
            let cause = try #require(check?.cause)
            #expect((cause.schema, cause.table, cause.constraint) == ("public", "subjects", "positive"))
            let null = await #expect(throws: PostgresClientError.self) {
                try await client.query("insert into subjects values (1, \(String?.none))")
            }
            #expect(null?.sqlState == .notNullViolation)
            #expect(null?.cause?.column == "name")
            let syntax = await #expect(throws: PostgresClientError.self) { try await client.query("select 1 frm x y") }
            #expect(syntax?.sqlState == .syntaxError)
            #expect(syntax?.cause?.position == 14)
        }
    }

    @Test("codes have the manual's names")
    func names() {
        #expect(SQLState.uniqueViolation.rawValue == "23505")
        #expect(SQLState.uniqueViolation.name == "unique_violation")
        #expect(SQLState.uniqueViolation.description == "23505 (unique_violation)")
        #expect(SQLState(rawValue: "ZZ001")?.name == nil)
        #expect(SQLState(rawValue: "zz001") == nil)
        #expect(SQLState.deadlockDetected.classCode == "40")
    }
}
