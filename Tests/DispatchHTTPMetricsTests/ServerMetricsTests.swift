import CoreMetrics
import DispatchLoop
import Glibc
import HTTP1
import HTTPTypes
import MetricDescriptions
import MetricsTestKit
import Testing

@testable import DispatchHTTP
@testable import DispatchHTTPMetrics

@LoopActor
@Suite(.timeLimit(.minutes(1))) struct ServerMetricsTests {
    private let backend = TestMetrics()

    private func exchange(
        _ method: HTTPRequest.Method, _ target: String, status: Int, fields: HTTPFields = [:],
        _ duration: Duration = .milliseconds(3)
    ) throws -> Exchange {
        Exchange(
            request: try RequestHead(method, target, fields: fields), status: status, bodyBytes: 0,
            nanoseconds: duration.nanoseconds,
            peer: PeerAddress(sockaddr_storage()), abortReason: nil)
    }

    private var durations: [TestTimer] {
        backend.timers.filter { $0.label == "http.server.request.duration" }
    }

    private func dimensions(_ timer: TestTimer) -> [String: String] {
        Dictionary(uniqueKeysWithValues: timer.dimensions)
    }

    @Test("a request's duration goes to the timer of its method, route and status")
    func duration() throws {
        let metrics = ServerMetrics(routes: ["/", "/ping"], factory: backend)
        metrics.answered(try exchange(.get, "/ping?x=1", status: 200))
        metrics.answered(try exchange(.get, "/ping", status: 400))
        metrics.answered(try exchange(.get, "/ping", status: 200, .milliseconds(4)))
        #expect(durations.count == 2)
        let good = try #require(durations.first { dimensions($0)["http.response.status_code"] == "200" })
        #expect(
            dimensions(good) == [
                "http.request.method": "GET", "http.route": "/ping", "http.response.status_code": "200",
            ])
        #expect(good.values == [3_000_000, 4_000_000])
    }

    @Test("all unknown paths and methods share one series")
    func bounded() throws {
        let metrics = ServerMetrics(routes: ["/"], factory: backend)
        let hostName = try #require(HTTPField.Name("Host"))
        for number in 0..<500 {
            let method = try #require(HTTPRequest.Method("BREW\(number)"))
            metrics.answered(
                try exchange(method, "/secret\(number)", status: 404, fields: [hostName: "host\(number)"]))
        }
        #expect(durations.count == 1)
        #expect(
            dimensions(try #require(durations.first)) == [
                "http.request.method": "_OTHER", "http.response.status_code": "404",
            ])
        metrics.answered(try exchange(try #require(HTTPRequest.Method("BREW")), "/", status: 405))
        #expect(durations.count == 2)
    }

    @Test("connections, rejections, pauses and abandoned requests are counted")
    func counts() throws {
        let metrics = ServerMetrics(prefix: "daruma.http", factory: backend)
        metrics.connectionOpened()
        metrics.connectionClosed(.headTimeout)
        metrics.refused(
            RejectedRequest(error: .missingHost, status: 400, bodyBytes: 0, peer: PeerAddress(sockaddr_storage())))
        metrics.abandoned(try exchange(.get, "/", status: 0))
        metrics.acceptPaused(errno: 24)
        #expect(try backend.expectCounter("daruma.http.connections_opened").values == [1])
        #expect(try backend.expectCounter("daruma.http.connections_closed", [("reason", "head_timeout")]).values == [1])
        #expect(try backend.expectCounter("daruma.http.connections_closed", [("reason", "reset")]).values == [])
        let refused = [("http.response.status_code", "400")]
        #expect(try backend.expectCounter("daruma.http.requests_refused", refused).values == [1])
        #expect(try backend.expectCounter("daruma.http.requests_abandoned").values == [1])
        #expect(try backend.expectCounter("daruma.http.accept_pauses").values == [1])
    }

    @Test("metrics do not keep a watched server alive, and forget it")
    func weak() async throws {
        let metrics = ServerMetrics(factory: backend)
        func serve() async throws -> WeakServer {
            let server = HTTPServer(
                configuration: ServerConfiguration(host: "127.0.0.1", port: 0), responder: Router(),
                observers: [metrics])
            metrics.watch(server)
            try server.start()
            metrics.refresh()
            _ = await server.drain(deadline: .now() + .seconds(5))
            return WeakServer(server: server)
        }
        let watched = try await serve()
        // The job that ended the drain holds the server until the loop releases the job.
        for _ in 0..<100 where watched.server != nil { await Task.yield() }
        #expect(watched.server == nil)
        metrics.refresh()
        #expect(try backend.expectRecorder("http.server.connections", [("state", "idle")]).values == [0, 0])
    }

    private struct WeakServer {
        weak var server: HTTPServer?
    }

    @Test("every metric has a description, and each name one metric")
    func described() {
        let labels = ServerMetrics.descriptions().map(\.label)
        #expect(Set(labels).count == labels.count)
        #expect(ServerMetrics.descriptions().allSatisfy { !$0.help.isEmpty })
        _ = ServerMetrics(factory: backend)
        let made = Set(backend.counters.map(\.label) + backend.recorders.map(\.label) + backend.timers.map(\.label))
        #expect(made.isSubset(of: labels))
    }
}
