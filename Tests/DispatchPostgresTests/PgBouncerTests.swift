import DispatchLoop
import Glibc
import PostgresSession
import PostgresTestKit
import Testing

@testable import DispatchPostgres

/// In transaction mode a client has a server session for one transaction. An open transaction keeps the session, and
/// the next client finds all state that the previous one left in it.
@Suite("a pool behind PgBouncer", .enabled(if: getenv("DARUMA_SANITIZER") == nil), .timeLimit(.minutes(1)))
struct PgBouncerTests {
    @Test("rolls back an open transaction, which would occupy one of the few sessions")
    func rollback() async throws {
        let sandbox = try await SharedSandbox.get()
        let bouncer = try PgBouncer(for: sandbox, poolSize: 1)
        try await bouncer.start()
        try await withPool(bouncer.connectionURL()) { pool, recorder in
            for statement in ["begin", "begin; select 1/0"] {
                let connection = try await pool.checkOut(deadline: soon)
                _ = try? await connection.query(statement, deadline: soon)
                pool.release(connection)
                // These are other connections to PgBouncer, which has one server session for all.
                let others = try await [pool.checkOut(deadline: soon), pool.checkOut(deadline: soon)]
                for other in others {
                    let id = try await other.query("select pg_current_xact_id_if_assigned()", deadline: soon)
                    #expect(id.values == [nil])
                }
                for other in others { pool.release(other) }
            }
            #expect(!recorder.reasons.contains(.resetFailed))
        }
        try await bouncer.kill()
    }

    @Test("keeps a statement prepared while other clients use the session")
    func prepared() async throws {
        let sandbox = try await SharedSandbox.get()
        let bouncer = try PgBouncer(for: sandbox, poolSize: 1)
        try await bouncer.start()
        try await withPool(bouncer.connectionURL()) { pool, recorder in
            let connections = try await [pool.checkOut(deadline: soon), pool.checkOut(deadline: soon)]
            for round in 1...6 {
                for connection in connections {
                    let result = try await connection.query("select 1", isPrepared: true, deadline: soon)
                    #expect(result.values == ["1"])
                }
                // The prepared statements vanish: with the session, or because another client deallocates them.
                if round.isMultiple(of: 2) {
                    try await bouncer.console("RECONNECT")
                } else {
                    _ = try await connections[0].query("deallocate all", deadline: soon)
                }
            }
            for connection in connections { pool.release(connection) }
            #expect(recorder.retries == 0)
        }
        try await bouncer.kill()
    }
}
