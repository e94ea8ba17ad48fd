package import PostgresTestKit

/// A client that requests a path at a steady pace on its own thread, and records every exchange.
package final class ProbeLoop: Sendable {
    private let loop: BackgroundLoop

    package init(
        _ target: ServiceAddress, path: String, every interval: Duration, limit: Duration = .seconds(5),
        into timeline: Timeline
    ) {
        loop = BackgroundLoop("probe \(path)", every: interval) {
            let probe = HTTPProbe(host: target.host, port: target.port, limit: limit)
            return { timeline.record(on: path) { probe.get(path) } }
        }
    }

    /// Stops, and returns when the last exchange is recorded.
    package func stop() async { await loop.stop() }

    /// Stops several at the same time.
    static func stop(_ probes: [ProbeLoop]) async {
        for probe in probes { probe.loop.requestStop() }
        for probe in probes { await probe.loop.waitForEnd() }
    }
}
