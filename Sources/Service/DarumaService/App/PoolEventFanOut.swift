package import DispatchLoop
package import DispatchPostgres

/// Passes the pool's events on, in order, to everybody in the service who wants them: the log, the metrics, the status
/// page. The pool itself knows one delegate.
@LoopActor
package final class PoolEventFanOut: PoolDelegate {
    private var listeners: [any PoolDelegate] = []
    /// Those who take measurements, several with each query.
    private var measuring: [any PoolDelegate] = []

    package init() {}

    /// From now on `listener` hears every event too, and every measurement if it `measures`. It is kept alive.
    package func add(_ listener: any PoolDelegate, measures: Bool = false) {
        listeners.append(listener)
        if measures { measuring.append(listener) }
    }

    package func pool(_ pool: PostgresPool, did event: PoolEvent) {
        for listener in listeners { listener.pool(pool, did: event) }
    }

    package func pool(_ pool: PostgresPool, measured measurement: PoolMeasurement) {
        for listener in measuring { listener.pool(pool, measured: measurement) }
    }
}
