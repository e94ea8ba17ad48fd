package import DispatchLoop
package import DispatchPostgres
internal import PostgresSession

/// Reports to systemd: readiness, the watchdog's heartbeat, the state of the database, and the shutdown.
@LoopActor
package final class SystemdNotifier: PoolObserver {
    private let socket: NotifySocket
    private let loop = EventLoop.shared
    private let beatInterval: Duration?
    private var pending = PendingNotification()
    private var retryTimer: TimerID?
    private var lastReported: DatabaseState?
    private var isStopping = false

    /// How soon to retry a message that the socket had no room for.
    private static let retryInterval = Duration.milliseconds(50)

    /// `nil` if systemd expects no notifications.
    package init?(_ environment: SystemdEnvironment) {
        guard let address = environment.notifyAddress, let socket = NotifySocket(address) else { return nil }
        self.socket = socket
        // sd_watchdog_enabled(3): "every half of the time".
        beatInterval = environment.watchdogTimeout.map { $0 / 2 }
    }

    /// The service listens. It is ready without its database.
    package func ready() {
        pending.put(.ready)
        pending.put(.status, "serving; \(DatabaseSummary(.suspect, hasBeenUp: false).text)")
        beat()
    }

    /// The shutdown has begun.
    package func stopping() {
        isStopping = true
        pending.put(.stopping)
        pending.put(.status, "shutting down: draining requests")
        flush()
    }

    package func pool(_ pool: PostgresPool, did event: PoolEvent) {
        guard !isStopping, case .healthChanged(_, let state, let outage, _) = event, state != lastReported else {
            return
        }
        // A suspicion is over within the grace; `stopping()` reports the end.
        guard state == .up || state.failsAtOnce else { return }
        let cause = state == .up ? "" : outage.map { ": \($0.cause)" } ?? ""
        let summary = DatabaseSummary(state, code: outage?.cause.code, target: pool.configuration.target)
        pending.put(.status, "serving; \(summary.text)\(cause)")
        lastReported = state
        flush()
    }

    /// Sends the heartbeat from a timer of the loop, so that a stuck loop sends none.
    private func beat() {
        if let beatInterval {
            pending.put(.watchdog)
            _ = loop.schedule(at: loop.now + beatInterval) { [weak self] in self?.beat() }
        }
        flush()
    }

    private func flush() {
        guard !pending.isEmpty, retryTimer == nil else { return }
        switch socket.send(pending.message) {
        case .sent, .failed: pending.clear()
        case .full:
            retryTimer = loop.schedule(at: loop.now + Self.retryInterval) { [weak self] in
                self?.retryTimer = nil
                self?.flush()
            }
        }
    }
}
