package import DispatchHTTP
package import DispatchLoop

/// What is for operators and nobody else: on the main port, or with `--admin-port` on one of its own.
@LoopActor
package struct AdminRoutes {
    private let status: StatusHub
    private let metrics: MetricsEndpoint?

    package init(status: StatusHub, metrics: MetricsEndpoint?) {
        self.status = status
        self.metrics = metrics
    }

    package func add(to router: inout Router) {
        status.add(to: &router)
        if let metrics { router.get("/metrics") { _ in .later { await metrics.response() } } }
    }
}
