package import DispatchLoop
package import DispatchPostgres

/// Passes the pool's events to the log, the metrics and the status page. These observers read the pool's state, so the
/// service creates them after the pool.
@LoopActor
package final class PoolEventFanOut: PoolObserver {
    package let wantsMeasurements: Bool
    private var observers: [any PoolObserver] = []
    private var measuringObservers: [any PoolObserver] = []

    package init(wantsMeasurements: Bool = false) {
        self.wantsMeasurements = wantsMeasurements
    }

    /// Keeps `observer` alive.
    package func add(_ observer: any PoolObserver) {
        observers.append(observer)
        if observer.wantsMeasurements { measuringObservers.append(observer) }
    }

    package func pool(_ pool: PostgresPool, did event: PoolEvent) {
        for observer in observers { observer.pool(pool, did: event) }
    }

    package func pool(_ pool: PostgresPool, measured measurement: PoolMeasurement) {
        for observer in measuringObservers { observer.pool(pool, measured: measurement) }
    }
}
