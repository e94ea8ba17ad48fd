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

/// Tests the routes without a client socket, with and without a real database.
@LoopActor
@Suite(.timeLimit(.minutes(2))) struct RoutesTests {
    private func pool(_ url: String, grace: Duration = .milliseconds(100)) -> PostgresPool {
        var settings = PoolSettings()
        settings.outageGrace = grace
        let pool = PostgresPool(ConnectionConfiguration(url), settings: settings)
        pool.start()
        return pool
    }

    private func get(_ path: String, _ pool: PostgresPool, isShuttingDown: Bool = false) async throws -> Response {
        let health = ServiceHealth(
            pool: pool, requiresDatabase: false, livenessLimit: .seconds(60), logger: Logger(label: "test"))
        if isShuttingDown { health.shutDown() }
        var router = Router()
        Routes(pool: pool, pingTimeout: .seconds(20), pingFailureStatus: 503, logger: Logger(label: "test"))
            .add(to: &router)
        HealthRoutes(health).add(to: &router)
        return await router.respond(to: try RequestHead(.get, path)).response()
    }

    private func text(_ response: Response) -> String { String(decoding: response.body, as: UTF8.self) }

    @Test("/ and /livez succeed without a database", arguments: ["/", "/livez"])
    func succeed(path: String) async throws {
        let pool = pool("postgres://admin@127.0.0.1:1/mydb")
        let response = try await get(path, pool)
        #expect(response.status == .ok)
        #expect(text(response) == "{\n  \"status\": true\n}")
        #expect(response.fields[.cacheControl] == "no-store")
        await pool.close(deadline: .now() + .seconds(1))
    }

    @Test("no answer contains the database's address, login or internals of the service")
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

    @Test("/ping returns the database's answer and releases the connection")
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

    @Test("/ping fails with the configured status and the cause")
    func failingPing() async throws {
        let pool = pool("postgres://admin@127.0.0.1:1/mydb")
        let response = try await get("/ping", pool)
        #expect(response.status == .serviceUnavailable)
        #expect(text(response).contains(PostgresError.Code.refused))
        await pool.close(deadline: .now() + .seconds(1))
    }

    @Test("/readyz is ready without a database and reports it, until the shutdown")
    func ready() async throws {
        let pool = pool("postgres://admin@127.0.0.1:1/mydb")
        try await eventually("down") { pool.snapshot.health == .down }
        let ready = try await get("/readyz", pool)
        #expect(ready.status == .ok)
        #expect(text(ready).contains(#""state": "down""#))
        let draining = try await get("/readyz", pool, isShuttingDown: true)
        #expect(draining.status == .serviceUnavailable)
        #expect(draining.fields[.retryAfter] == "1")
        await pool.close(deadline: .now() + .seconds(1))
    }
}
