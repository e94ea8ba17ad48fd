package import DispatchHTTP
package import DispatchLoop
import HTTP1
import HTTPTypes

/// A line for each request. Lines go through a ``LogSink``, so that the loop does not wait for whoever reads them; what
/// does not fit is dropped and counted.
@LoopActor
package final class AccessLog: ServerObserver {
    /// Which requests.
    package enum Scope: Sendable {
        case all
        /// Not those of probes, which are most of the requests of a service that nobody uses.
        case withoutHealth
    }

    /// What can be set.
    package enum Setting: String, Sendable, CaseIterable {
        case off
        case all
        case withoutHealth = "without-health"

        /// `nil`: no access log.
        var scope: Scope? {
            switch self {
            case .off: nil
            case .all: .all
            case .withoutHealth: .withoutHealth
            }
        }
    }

    /// What nginx calls a request whose client has gone before it was answered; no answer ever has it.
    nonisolated static let clientGone = 499

    private let scope: Scope
    private let format: LineLogHandler.Format
    private let sink: LogSink
    private var timestamp = Timestamp()
    /// The line in the making; its memory is used again.
    private var buffer: [UInt8] = []
    /// The latest client as text: one after the other, requests often come from the same.
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
