package import DispatchLoop
package import DispatchPostgres

/// Forwards the pool's events, in order, to the log, the metrics, the status page and so on. The pool has one delegate.
@LoopActor
package final class PoolEventFanOut: PoolDelegate {
    private var listeners: [any PoolDelegate] = []
    /// The listeners that take measurements, several per query.
    private var measuring: [any PoolDelegate] = []

    package init() {}

    /// Adds a listener for events, and for measurements if it `measures`. Keeps a strong reference.
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
