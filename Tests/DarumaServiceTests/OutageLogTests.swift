import DispatchLoop
import DispatchPostgres
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
}
