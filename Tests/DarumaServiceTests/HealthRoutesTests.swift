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

/// What probes hear, without a socket to them.
@LoopActor
@Suite(.timeLimit(.minutes(2))) struct HealthRoutesTests {
    /// A service's health with its pool, and what it answers.
    @LoopActor
    private struct Subject {
        let pool: PostgresPool
        let health: ServiceHealth
        let router: Router
        private let events = PoolEventFanOut()

        init(_ url: String, requiresDatabase: Bool = false, livenessLimit: Duration = .seconds(60)) {
            var settings = PoolSettings()
            settings.outageGrace = .milliseconds(100)
            pool = PostgresPool(ConnectionConfiguration(url), settings: settings)
            health = ServiceHealth(
                pool: pool, requiresDatabase: requiresDatabase, livenessLimit: livenessLimit,
                logger: Logger(label: "test"))
            var router = Router()
            HealthRoutes(health).add(to: &router)
            self.router = router
            events.add(health)
            pool.delegate = events
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
        "every health answer forbids caches, whatever the method, and has a place of its own",
        arguments: HealthRoutes.paths.sorted())
    func noStore(path: String) async throws {
        let subject = Subject(Self.nowhere, requiresDatabase: true)
        for method in [HTTPRequest.Method.get, .head, .options] {
            #expect(try await subject.ask(path, method).fields[.cacheControl] == "no-store")
        }
        #expect(subject.router.isHealthCheck(try RequestHead(.get, path)), "also when all connections are taken")
        await subject.close()
    }

    @Test("OPTIONS has the status of GET, and no body", arguments: HealthRoutes.paths.sorted())
    func options(path: String) async throws {
        let subject = Subject(Self.nowhere, requiresDatabase: true)
        for isLeaving in [false, true] {
            if isLeaving { subject.health.leave() }
            let options = try await subject.ask(path, .options)
            #expect(options.status == (try await subject.ask(path)).status)
            #expect(options.body.isEmpty)
            #expect(options.fields[.allow] == "GET, HEAD, OPTIONS")
        }
        await subject.close()
    }

    @Test("/readyz that requires the database says when it is away, why, and since when")
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

    @Test("/readyz that requires the database follows it away and back; /livez does not care")
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

    @Test("asking how it is costs the database nothing")
    func free() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            let subject = Subject(sandbox.connectionURL(), requiresDatabase: true)
            try await eventually("primary") { try await subject.status("/primary") == 200 }
            // When any session of the pool last began or ended a statement.
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
            #expect(try await sandbox.execute(latest) != before, "a query is seen")
            await subject.close()
        }
    }

    @Test("/primary and /replica tell the role, also when it changes under idle sessions")
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
            // Nobody queries: the server tells an idle session nothing, so the pool has to ask.
            try await eventually("promoted") { try await ofStandby.status("/primary") == 200 }
            #expect(try await ofStandby.status("/replica") == 503)

            try await primary.stop(.immediate)
            try await eventually("no primary any more") { try await ofPrimary.status("/primary") == 503 }
            #expect(try await ofPrimary.status("/replica") == 503)
            await ofPrimary.close()
            await ofStandby.close()
            try await standby.remove()
        }
    }

    @Test("a loop that was held up once says so and is well; held up again and again it is not; then it is again")
    func heldUp() async throws {
        let subject = Subject(Self.nowhere, livenessLimit: .milliseconds(40))
        usleep(200_000)
        try await eventually("the stall is over, and told of") {
            let answer = try await subject.ask("/livez")
            return answer.status == .ok && text(answer).contains("lengthMs")
        }
        let holdUp = HoldUp()
        holdUp.begin()
        try await eventually("not live") { try await subject.status("/livez") == 503 }
        holdUp.isOver = true
        try await eventually("live again") { try await subject.status("/livez") == 200 }
        await subject.close()
    }
}

/// Blocks the loop, which nothing may, for 70 ms in every turn.
@LoopActor
private final class HoldUp {
    var isOver = false

    func begin() {
        usleep(70_000)
        if !isOver { _ = EventLoop.shared.schedule(at: .now()) { self.begin() } }
    }
}
