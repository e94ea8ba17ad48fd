package import DispatchHTTP
package import DispatchLoop

/// The routes for operators, on the main port or on the admin port.
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
