import DispatchLoop
@testable import DispatchPostgres
import Logging
import PostgresSession
import Testing

@testable import DarumaService

/// Collects log lines.
private struct Collector: LogHandler {
    final class Lines: Sendable {
        let all = Locked<[String]>([])
    }

    let lines: Lines
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.info

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        lines.all.withLock { $0.append("\(event.level) \(event.message) \(event.metadata ?? [:])") }
    }
}

@LoopActor
@Suite("the log of outages") struct OutageLogTests {
    @Test("has one line a minute about masked interruptions, with the number of suppressed ones")
    func interruptions() {
        let lines = Collector.Lines()
        let log = OutageLog(Logger(label: "test") { _ in Collector(lines: lines) })
        let pool = PostgresPool(ConnectionConfiguration("host=127.0.0.1 port=1 user=u dbname=d"))
        let begin = MonotonicTime.now()
        for second in 0...120 {
            let time = begin + .seconds(second)
            log.pool(pool, did: .healthChanged(from: .suspect, to: .up, outage: nil, at: time))
        }
        let logged = lines.all.withLock { $0 }
        // The first line reports the first connect.
        #expect(logged.count == 3)
        #expect(logged.first?.contains("connected to the database") == true)
        #expect(logged.dropFirst().allSatisfy { $0.contains("short interruption masked") })
        #expect(logged.last?.contains("more-since-the-last-line\": 59") == true, "\(logged)")
    }
    /// A log whose pool asks for a role, and its lines.
    private func subject(_ target: String) -> (log: OutageLog, pool: PostgresPool, lines: Collector.Lines) {
        let lines = Collector.Lines()
        let log = OutageLog(Logger(label: "test") { _ in Collector(lines: lines) })
        let settings = "host=127.0.0.1 port=1 user=u dbname=d target_session_attrs=\(target)"
        return (log, PostgresPool(ConnectionConfiguration(settings)), lines)
    }

    private let refused = PostgresError(
        code: PostgresError.Code.refused, message: "connection refused", disposition: .outage)
    private let wrongRole = PostgresError(
        code: PostgresError.Code.wrongRole, message: "session is read-only", disposition: .wrongRole)

    @Test("causes that alternate for an outage have one line each in ten seconds, with the number of suppressed ones")
    func alternating() {
        let (log, pool, lines) = subject("read-write")
        let begin = MonotonicTime.now()
        func report(_ from: DatabaseState, _ to: DatabaseState, _ cause: PostgresError, after: Duration) {
            let outage = Outage(since: begin, cause: cause)
            log.pool(pool, did: .healthChanged(from: from, to: to, outage: outage, at: begin + after))
        }
        report(.suspect, .down, refused, after: .milliseconds(750))
        for step in 1...40 {
            let time = Duration.milliseconds(750 + 400 * step)
            if step % 2 == 1 {
                report(.down, .readOnly, wrongRole, after: time)
            } else {
                report(.readOnly, .down, refused, after: time)
                log.pool(pool, did: .causeChanged(refused, at: begin + time))
            }
        }
        let logged = lines.all.withLock { $0 }
        #expect(logged.count == 4, "two causes in 16 s: \(logged)")
        #expect(logged[0].contains("the database is down") && logged[0].contains(#""for": 750 ms"#))
        #expect(logged[1].contains("only read-only servers answer; the pool searches for one that accepts writes"))
        #expect(logged.dropFirst(2).allSatisfy { $0.contains("more-since-the-last-line") })

        report(.down, .up, refused, after: .seconds(17))
        report(.suspect, .down, refused, after: .seconds(18))
        #expect(lines.all.withLock { $0.count } == 6, "the end has its line, and so has the next outage")
    }

    @Test("the line of an outage names the role that is looked for, and never says 0 ms")
    func words() {
        for (target, words) in [
            ("read-only", "only servers that accept writes answer; the pool searches for a read-only one"),
            ("standby", "only a primary answers; the pool searches for a standby"),
            ("primary", "only standbys answer; the pool searches for a primary"),
        ] {
            let (log, pool, lines) = subject(target)
            let now = MonotonicTime.now()
            let outage = Outage(since: now, cause: wrongRole)
            log.pool(pool, did: .healthChanged(from: .suspect, to: .readOnly, outage: outage, at: now))
            log.pool(pool, did: .healthChanged(from: .readOnly, to: .misconfigured, outage: outage, at: now))
            log.pool(pool, did: .healthChanged(from: .suspect, to: .up, outage: outage, at: now))
            log.pool(pool, did: .healthChanged(from: .suspect, to: .up, outage: outage, at: now))
            let logged = lines.all.withLock { $0 }
            #expect(logged.first?.contains(words) == true, "\(logged)")
            #expect(!logged.contains { $0.contains("for\": 0 ms") }, "\(logged)")
        }
    }
}
