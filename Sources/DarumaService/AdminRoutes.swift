package import DispatchHTTP
package import DispatchLoop

/// What is for operators and nobody else: on the main port, or with `--admin-port` on one of its own.
@LoopActor
package struct AdminRoutes {
    private let status: StatusHub

    package init(status: StatusHub) {
        self.status = status
    }

    package func add(to router: inout Router) {
        status.add(to: &router)
    }
}
