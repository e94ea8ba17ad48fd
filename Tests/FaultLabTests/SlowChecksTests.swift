import Testing

@testable import FaultLab
@testable import PostgresTestKit

@Suite("Checks on a slow database")
struct SlowChecksTests {
    private func statistics(accepted: Int, closed: Int) -> FaultRelay.Statistics {
        var statistics = FaultRelay.Statistics()
        statistics.accepted = accepted
        statistics.closedByClient = closed
        return statistics
    }

    @Test("fail for a closed connection, and for too many new ones")
    func patience() {
        let before = statistics(accepted: 10, closed: 2)
        func kept(_ accepted: Int, _ closed: Int, allowed: Int) -> [Bool] {
            Check.patience(
                before, statistics(accepted: accepted, closed: closed), in: .seconds(4), newAllowed: allowed
            ).map(\.isKept)
        }
        #expect(kept(10, 2, allowed: 0) == [true, true])
        #expect(kept(11, 3, allowed: 0) == [false, false])
        #expect(kept(16, 2, allowed: 10) == [true, true])
        let text = Check.patience(before, statistics(accepted: 16, closed: 2), in: .seconds(4), newAllowed: 10)[1]
            .text
        #expect(text.contains("6 new connections in 4 s, 1.5 a second"))
    }

    @Test("fail for a line in the log, and print it")
    func silence() {
        #expect(Check.silence([]).isKept)
        let logged = Check.silence(["the database was away", "and is back"])
        #expect(!logged.isKept)
        #expect(logged.text.contains("2 new lines") && logged.text.contains("the database was away"))
    }

    @Test("count sessions by the titles of the server's processes, including logins")
    func sessions() {
        let sessions = ServerSessions(titles: [
            "postgres: checkpointer ", "postgres: logical replication launcher ",
            "postgres: admin mydb 127.0.0.1(43210) idle", "postgres: admin mydb 127.0.0.1(43211) SELECT waiting",
            "postgres: admin mydb 127.0.0.1(43212) authentication", "postgres: admin mydb 127.0.0.1(43213) startup",
            // The sandbox's own session, and a process that has just been forked.
            "postgres: postgres postgres [local] idle", "/usr/lib/postgresql/15/bin/postgres",
        ])
        #expect(sessions.processes == 5)
        #expect(sessions.loggingIn == 3)
        #expect(Check.sessions(sessions, maximum: 4, extra: 1).isKept)
        #expect(!Check.sessions(sessions, maximum: 3, extra: 1).isKept)
    }

    @Test("excuse failures of requests that overlap an excuse, and not missing answers")
    func excuses() async throws {
        let context = FaultContext(database: NoDatabase(), timeline: Timeline())
        let begin = ContinuousClock.now
        context.excuse(for: .seconds(60), because: "it is empty")
        func exchange(_ outcome: HTTPExchange.Outcome, at begin: ContinuousClock.Instant) -> HTTPExchange {
            HTTPExchange(path: "/ping", begin: begin, latency: .milliseconds(1), outcome: outcome)
        }
        let failed = HTTPExchange.Outcome.answered(status: 400, body: "")
        #expect(context.excuses(exchange(failed, at: begin + .seconds(1))))
        #expect(!context.excuses(exchange(failed, at: begin - .seconds(1))))
        let underWay = HTTPExchange(
            path: "/ping", begin: begin - .milliseconds(500), latency: .milliseconds(900), outcome: failed)
        #expect(context.excuses(underWay))
        #expect(!context.excuses(exchange(failed, at: begin + .seconds(70))))
        #expect(!context.excuses(exchange(.failed("timed out"), at: begin + .seconds(1))))
        #expect(!context.excuses(exchange(.answered(status: 200, body: ""), at: begin + .seconds(1))))
        context.timeline.record(exchange(failed, at: begin + .seconds(1)))
        context.noteExcuses()
        #expect(context.notes == ["not counted: 1 failing /ping within 60 s, it is empty"])
    }

    @Test("A dead address neither accepts nor refuses")
    func deadAddress() async throws {
        let dead = try DeadAddress()
        for _ in 0..<3 {
            let exchange = await HTTPProbe.get("/", port: dead.port, limit: .milliseconds(300))
            #expect(exchange.outcome == .failed("timed out"))
        }
    }
}

/// A control that does nothing.
private struct NoDatabase: DatabaseControl {
    func stop(_ mode: StopMode) async throws {}
    func start() async throws {}
    func restart() async throws {}
    func kill() async throws {}
    func freeze() async throws {}
    func thaw() async throws {}
}
