import DispatchHTTP
import DispatchLoop
import DispatchPostgres
import Glibc
import HTTP1
import HTTPTypes
import Logging
import PostgresSession
import PostgresTestKit
import Testing

@testable import DarumaService

/// Tests the health checks without a client socket.
@LoopActor
@Suite(.timeLimit(.minutes(2))) struct HealthRoutesTests {
    /// A service's health, its pool and its routes.
    @LoopActor
    private struct Subject {
        let pool: PostgresPool
        let health: ServiceHealth
        let router: Router
        private let events = PoolEventFanOut()

        init(_ url: String, requiresDatabase: Bool = false, livenessLimit: Duration = .seconds(60)) {
            var settings = PoolSettings()
            settings.outageGrace = .milliseconds(100)
            pool = PostgresPool(ConnectionConfiguration(url), settings: settings, observers: [events])
            health = ServiceHealth(
                pool: pool, requiresDatabase: requiresDatabase, livenessLimit: livenessLimit,
                logger: Logger(label: "test"))
            var router = Router()
            HealthRoutes(health).add(to: &router)
            self.router = router
            events.add(health)
            health.start()
            pool.start()
        }

        func ask(_ path: String, _ method: HTTPRequest.Method = .get) async throws -> Response {
            await router.respond(to: try RequestHead(method, path)).response()
        }

        func status(_ path: String) async throws -> Int { try await ask(path).status.code }

        func close() async {
            health.stop()
            await pool.close(deadline: .now() + .seconds(5))
        }
    }

    private static let nowhere = "postgres://admin@127.0.0.1:1/mydb"

    private func text(_ response: Response) -> String { String(decoding: response.body, as: UTF8.self) }

    @Test(
        "health checks forbid caching with every method and use reserved connections",
        arguments: HealthRoutes.paths.sorted())
    func noStore(path: String) async throws {
        let subject = Subject(Self.nowhere, requiresDatabase: true)
        for method in [HTTPRequest.Method.get, .head, .options] {
            #expect(try await subject.ask(path, method).fields[.cacheControl] == "no-store")
        }
        #expect(subject.router.isHealthCheck(try RequestHead(.get, path)), "answered when the server is full")
        await subject.close()
    }

    @Test("OPTIONS has the status of GET and no body", arguments: HealthRoutes.paths.sorted())
    func options(path: String) async throws {
        let subject = Subject(Self.nowhere, requiresDatabase: true)
        for isShuttingDown in [false, true] {
            if isShuttingDown { subject.health.shutDown() }
            let options = try await subject.ask(path, .options)
            #expect(options.status == (try await subject.ask(path)).status)
            #expect(options.body.isEmpty)
            #expect(options.fields[.allow] == "GET, HEAD, OPTIONS")
        }
        await subject.close()
    }

    @Test("/readyz that requires the database reports the outage, its cause and its duration")
    func gated() async throws {
        let subject = Subject(Self.nowhere, requiresDatabase: true)
        try await eventually("down") { subject.pool.snapshot.health == .down }
        let answer = try await subject.ask("/readyz")
        #expect(answer.status == .serviceUnavailable)
        #expect(answer.fields[.retryAfter] == "1")
        for part in [#""status": false"#, #""state": "down""#, PostgresError.Code.refused, "downForMs"] {
            #expect(text(answer).contains(part))
        }
        await subject.close()
    }

    @Test("/readyz that requires the database follows it down and up; /livez does not")
    func follows() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            let subject = Subject(sandbox.connectionURL(), requiresDatabase: true)
            try await eventually("ready") { try await subject.status("/readyz") == 200 }
            try await sandbox.stop(.immediate)
            try await eventually("not ready") { try await subject.status("/readyz") == 503 }
            #expect(try await subject.status("/livez") == 200)
            try await sandbox.start()
            try await eventually("ready again") { try await subject.status("/readyz") == 200 }
            await subject.close()
        }
    }

    @Test("health checks cost the database no query")
    func free() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            let subject = Subject(sandbox.connectionURL(), requiresDatabase: true)
            try await eventually("primary") { try await subject.status("/primary") == 200 }
            // The latest start or end of a statement in any session of the pool.
            let latest = """
                select max(state_change) from pg_stat_activity
                where backend_type = 'client backend' and application_name <> '\(PostgresSandbox.applicationName)'
                """
            let before = try await sandbox.execute(latest)
            #expect(!before.isEmpty)
            for _ in 0..<1_000 {
                for path in HealthRoutes.paths { _ = try await subject.ask(path) }
            }
            #expect(try await sandbox.execute(latest) == before)
            _ = try await subject.pool.withConnection(deadline: .now() + .seconds(20)) {
                try await $0.query("select 1", deadline: .now() + .seconds(20))
            }
            #expect(try await sandbox.execute(latest) != before, "a query changes it")
            await subject.close()
        }
    }

    @Test("/primary and /replica report the role, also when it changes under idle sessions")
    func roles() async throws {
        try await PostgresSandbox.withSandbox { primary in
            let standby = try await PostgresSandbox.makeStandby(of: primary)
            try await standby.start()
            let ofPrimary = Subject(primary.connectionURL())
            let ofStandby = Subject(standby.connectionURL())
            try await eventually("the primary is one") { try await ofPrimary.status("/primary") == 200 }
            #expect(try await ofPrimary.status("/replica") == 503)
            try await eventually("the standby is one") { try await ofStandby.status("/replica") == 200 }
            #expect(try await ofStandby.status("/primary") == 503)
            #expect(text(try await ofStandby.ask("/replica")).contains(#""role": "replica""#))

            try await standby.promote()
            // The server does not notify idle sessions of a promotion, so the pool must query the role.
            try await eventually("promoted") { try await ofStandby.status("/primary") == 200 }
            #expect(try await ofStandby.status("/replica") == 503)

            try await primary.stop(.immediate)
            try await eventually("no primary any more") { try await ofPrimary.status("/primary") == 503 }
            #expect(try await ofPrimary.status("/replica") == 503)
            #expect(!text(try await ofPrimary.ask("/primary")).contains("role"), "the role of before the outage")
            await ofPrimary.close()
            await ofStandby.close()
            try await standby.remove()
        }
    }

    @Test("a loop that was blocked once is live and reports it; blocked repeatedly it is not live; then it recovers")
    func blocked() async throws {
        let subject = Subject(Self.nowhere, livenessLimit: .milliseconds(40))
        usleep(200_000)
        try await eventually("the stall is over and reported") {
            let answer = try await subject.ask("/livez")
            return answer.status == .ok && text(answer).contains("lengthMs")
        }
        let blocker = LoopBlocker()
        blocker.begin()
        try await eventually("not live") { try await subject.status("/livez") == 503 }
        blocker.isOver = true
        try await eventually("live again") { try await subject.status("/livez") == 200 }
        await subject.close()
    }
}

/// Blocks the loop for 70 ms in every round.
@LoopActor
private final class LoopBlocker {
    var isOver = false

    func begin() {
        usleep(70_000)
        if !isOver { _ = EventLoop.shared.schedule(at: .now()) { self.begin() } }
    }
}
