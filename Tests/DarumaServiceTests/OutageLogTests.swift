import DispatchLoop
import DispatchPostgres
import Logging
import PostgresSession
import Testing

@testable import DarumaService

/// Keeps what is logged.
private struct Keeper: LogHandler {
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
    @Test("has one line a minute of moments without the database, with the number of those left out")
    func moments() {
        let lines = Keeper.Lines()
        let log = OutageLog(Logger(label: "test") { _ in Keeper(lines: lines) })
        let pool = PostgresPool(ConnectionConfiguration("host=127.0.0.1 port=1 user=u dbname=d"))
        let begin = MonotonicTime.now()
        for second in 0...120 {
            let time = begin + .seconds(second)
            log.pool(pool, did: .healthChanged(from: .suspect, to: .up, outage: nil, at: time))
        }
        let told = lines.all.withLock { $0 }
        // The first one is the service's own start.
        #expect(told.count == 3)
        #expect(told.first?.contains("is reached") == true)
        #expect(told.dropFirst().allSatisfy { $0.contains("was away for a moment") })
        #expect(told.last?.contains("more-since-the-last-line\": 59") == true, "\(told)")
    }
}
