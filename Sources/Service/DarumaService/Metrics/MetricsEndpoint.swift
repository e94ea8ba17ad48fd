import Dispatch
package import DispatchHTTP
import DispatchHTTPMetrics
package import DispatchLoop
package import DispatchPostgres
import DispatchPostgresMetrics
package import HTTP1
import HTTPTypes
package import MetricDescriptions
import PrometheusExposition

/// `/metrics`: everything there is to count, in the format that Prometheus reads.
///
/// The loop only notes what the pool and the servers look like at this moment; asking the kernel and writing the text
/// happens beside it. Requests that come meanwhile get the same text: many scrapers cost as much as one.
@LoopActor
package final class MetricsEndpoint {
    /// All metrics that there are.
    package static let descriptions =
        PoolMetrics.descriptions + ServerMetrics.descriptions + ProcessMetrics.descriptions

    private let backend: PrometheusMetrics
    private let pool: PoolMetrics
    private let server: ServerMetrics
    private let process: ProcessMetrics
    private let queue = DispatchQueue(label: "daruma.metrics", qos: .utility)
    private var waiters: [CheckedContinuation<Response, Never>] = []

    package init(pool: PostgresPool) {
        backend = PrometheusMetrics(Self.descriptions)
        self.pool = PoolMetrics(of: pool, name: "daruma", factory: backend)
        server = ServerMetrics(factory: backend)
        process = ProcessMetrics(factory: backend)
    }

    /// Who is to hear of the pool.
    package var poolListener: any PoolDelegate { pool }
    /// Who is to hear of the servers.
    package var serverListener: any ServerObserver { server }

    /// Counts this server's connections too, and its requests by these paths.
    package func watch(_ server: HTTPServer, paths: [String]) {
        self.server.addRoutes(paths)
        self.server.watch(server)
    }

    /// The values of this moment.
    package func response() async -> Response {
        await withCheckedContinuation { continuation in
            waiters.append(continuation)
            if waiters.count == 1 { write() }
        }
    }

    private func write() {
        pool.refresh()
        server.refresh()
        queue.async { [process, backend] in
            process.refresh()
            let text = backend.text()
            EventLoop.shared.submit { self.finish(text) }
        }
    }

    private func finish(_ text: [UInt8]) {
        let response = Response(
            status: .ok, fields: [.contentType: TextFormat.contentType, .cacheControl: "no-store"], body: text)
        let waiters = waiters
        self.waiters = []
        for waiter in waiters { waiter.resume(returning: response) }
    }
}
