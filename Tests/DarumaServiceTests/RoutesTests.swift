import DispatchHTTP
import DispatchLoop
import DispatchPostgres
import HTTP1
import HTTPTypes
import Logging
import PostgresSession
import PostgresTestKit
import Testing

@testable import DarumaService

/// The routes without a socket to a client, on a real database or on the lack of one.
@LoopActor
@Suite(.timeLimit(.minutes(2))) struct RoutesTests {
    private func pool(_ url: String, grace: Duration = .milliseconds(100)) -> PostgresPool {
        var settings = PoolSettings()
        settings.outageGrace = grace
        let pool = PostgresPool(ConnectionConfiguration(url), settings: settings)
        pool.start()
        return pool
    }

    private func get(_ path: String, _ pool: PostgresPool, isLeaving: Bool = false) async throws -> Response {
        let health = ServiceHealth(
            pool: pool, requiresDatabase: false, livenessLimit: .seconds(60), logger: Logger(label: "test"))
        if isLeaving { health.leave() }
        var router = Router()
        Routes(pool: pool, pingTimeout: .seconds(20), pingFailureStatus: 503, logger: Logger(label: "test"))
            .add(to: &router)
        HealthRoutes(health).add(to: &router)
        return await router.respond(to: try RequestHead(.get, path)).response()
    }

    private func text(_ response: Response) -> String { String(decoding: response.body, as: UTF8.self) }

    @Test("/ and /livez are well without a database", arguments: ["/", "/livez"])
    func well(path: String) async throws {
        let pool = pool("postgres://admin@127.0.0.1:1/mydb")
        let response = try await get(path, pool)
        #expect(response.status == .ok)
        #expect(text(response) == "{\n  \"status\": true\n}")
        #expect(response.fields[.cacheControl] == "no-store")
        await pool.close(deadline: .now() + .seconds(1))
    }

    @Test("no answer tells where the database is, who logs in there, with what, or anything of the service's insides")
    func noInternals() async throws {
        let pool = pool("postgres://someuser:s3cret@127.0.0.1:1/somedatabase?application_name=someapp")
        for path in ["/", "/ping", "/livez", "/readyz", "/nowhere"] {
            let body = text(try await get(path, pool)).lowercased()
            for detail in [
                "someuser", "s3cret", "somedatabase", "someapp", "127.0.0.1", "postgres://", ".swift", "/usr/", "/var/",
                "/tmp/", "0x", "libpq", "pqconnect", "thread", "fatal error",
            ] { #expect(!body.contains(detail), "\(path) says \(detail)") }
        }
        await pool.close(deadline: .now() + .seconds(1))
    }

    @Test("/ping gives the database's answer, and the connection goes home")
    func ping() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            let pool = pool(sandbox.connectionURL(), grace: .seconds(20))
            for _ in 0..<50 {
                let response = try await get("/ping", pool)
                #expect(response.status == .ok)
                #expect(text(response).contains(#""?column?": 1"#))
            }
            #expect(pool.snapshot.leased == 0)
            await pool.close(deadline: .now() + .seconds(5))
        }
    }

    @Test("/ping fails with the status that is set, and says why")
    func failingPing() async throws {
        let pool = pool("postgres://admin@127.0.0.1:1/mydb")
        let response = try await get("/ping", pool)
        #expect(response.status == .serviceUnavailable)
        #expect(text(response).contains(PostgresError.Code.refused))
        await pool.close(deadline: .now() + .seconds(1))
    }

    @Test("/readyz is ready without a database, says so, and is not once the service leaves")
    func ready() async throws {
        let pool = pool("postgres://admin@127.0.0.1:1/mydb")
        try await eventually("down") { pool.snapshot.health == .down }
        let ready = try await get("/readyz", pool)
        #expect(ready.status == .ok)
        #expect(text(ready).contains(#""state": "down""#))
        let leaving = try await get("/readyz", pool, isLeaving: true)
        #expect(leaving.status == .serviceUnavailable)
        #expect(leaving.fields[.retryAfter] == "1")
        await pool.close(deadline: .now() + .seconds(1))
    }
}
