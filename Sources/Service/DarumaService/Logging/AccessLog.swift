package import DispatchHTTP
package import DispatchLoop
import HTTP1
import HTTPTypes

/// Logs each request. The ``LogSink`` keeps a slow reader from delaying the event loop: it drops and counts lines.
@LoopActor
package final class AccessLog: ServerObserver {
    /// The requests to log.
    package enum Scope: String, Sendable, CaseIterable {
        case off
        case all
        /// All except health checks, which are most requests of an idle service.
        case withoutHealth = "without-health"
    }

    /// nginx's status for a request whose client disconnected before the answer. The service never sends it.
    nonisolated static let clientGone = 499

    private let scope: Scope
    private let format: LineLogHandler.Format
    private let sink: LogSink
    private var timestamp = Timestamp()
    /// Reused for each line.
    private var buffer: [UInt8] = []
    /// The latest client as text: consecutive requests often have the same one.
    private var client: (peer: PeerAddress, host: String)?

    package init(_ scope: Scope, format: LineLogHandler.Format, sink: LogSink) {
        self.scope = scope
        self.format = format
        self.sink = sink
    }

    package func answered(_ exchange: Exchange) {
        log(exchange, status: exchange.status)
    }

    package func abandoned(_ exchange: Exchange) {
        log(exchange, status: Self.clientGone)
    }

    package func refused(_ refusal: RejectedRequest) {
        log(
            AccessLine(
                method: "-", path: "-", client: host(of: refusal.peer), status: refusal.status,
                bytes: refusal.bodyBytes, duration: nil, id: ""))
    }

    private func log(_ exchange: Exchange, status: Int) {
        let request = exchange.request
        if scope == .withoutHealth, HealthRoutes.paths.contains(request.rawPath) { return }
        var path = request.target
        if let query = path.utf8.firstIndex(of: UInt8(ascii: "?")) { path = String(path[..<query]) }
        log(
            AccessLine(
                method: request.method.rawValue, path: path, client: host(of: exchange.peer), status: status,
                bytes: exchange.bodyBytes, duration: exchange.duration, id: request.id))
    }

    private func log(_ line: AccessLine) {
        buffer.removeAll(keepingCapacity: true)
        line.write(format, time: timestamp.now(), to: &buffer)
        sink.write(buffer)
    }

    private func host(of peer: PeerAddress) -> String {
        if let client, client.peer == peer { return client.host }
        let host = peer.host
        client = (peer, host)
        return host
    }
}
