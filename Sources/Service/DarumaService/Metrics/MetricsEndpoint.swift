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

/// `/metrics`: all metrics in Prometheus's text format.
///
/// Takes the snapshot on the loop; reads /proc and renders off it. Concurrent scrapes share one rendering.
@LoopActor
package final class MetricsEndpoint {
    /// The descriptions of all metrics.
    package static let descriptions =
        PoolMetrics.descriptions(prefix: poolPrefix) + ServerMetrics.descriptions(prefix: serverPrefix)
        + ProcessMetrics.descriptions
    private static let poolPrefix = "daruma.db"
    private static let serverPrefix = "daruma.http"

    private let backend: PrometheusMetrics
    private let pool: PoolMetrics
    private let server: ServerMetrics
    private let process: ProcessMetrics
    private let queue = DispatchQueue(label: "daruma.metrics", qos: .utility)
    private var waiters: [CheckedContinuation<Response, Never>] = []

    package init(pool: PostgresPool) {
        backend = PrometheusMetrics(Self.descriptions)
        self.pool = PoolMetrics(name: "daruma", prefix: Self.poolPrefix, factory: backend)
        self.pool.watch(pool)
        server = ServerMetrics(prefix: Self.serverPrefix, factory: backend)
        process = ProcessMetrics(factory: backend)
    }

    package var poolListener: any PoolObserver { pool }
    package var serverListener: any ServerObserver { server }

    /// Adds a server: its connections, and its requests by these paths.
    package func watch(_ server: HTTPServer, paths: [String]) {
        self.server.addRoutes(paths)
        self.server.watch(server)
    }

    /// The current values.
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
