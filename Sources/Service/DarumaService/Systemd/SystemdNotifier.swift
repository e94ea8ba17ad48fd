package import DispatchLoop
package import DispatchPostgres
internal import PostgresSession

/// Tells the service manager when the service is ready, that its loop turns, how the database is, and that it stops.
@LoopActor
package final class SystemdNotifier: PoolDelegate {
    private let socket: NotifySocket
    private let loop = EventLoop.shared
    private let beatInterval: Duration?
    private var outbox = PendingNotification()
    private var retryTimer: TimerID?
    private var told: DatabaseState?
    private var isStopping = false

    /// How soon a message is tried again that the manager had no room for.
    private static let retryInterval = Duration.milliseconds(50)

    /// `nil` when nobody wants to be told.
    package init?(_ environment: SystemdEnvironment) {
        guard let address = environment.notifyAddress, let socket = NotifySocket(address) else { return nil }
        self.socket = socket
        // sd_watchdog_enabled(3): "every half of the time".
        beatInterval = environment.watchdogTimeout.map { $0 / 2 }
    }

    /// The service listens. That the database is there is not a part of it.
    package func ready() {
        outbox.put(.ready)
        outbox.put(.status, "serving; the database has not been reached yet")
        beat()
    }

    /// The service has begun to leave.
    package func stopping() {
        isStopping = true
        outbox.put(.stopping)
        outbox.put(.status, "leaving: answering what is in flight")
        flush()
    }

    package func pool(_ pool: PostgresPool, did event: PoolEvent) {
        guard !isStopping, case .healthChanged(_, let health, let outage, _) = event, health != told else { return }
        let cause = outage.map { ": \($0.cause)" } ?? ""
        switch health {
        case .up: outbox.put(.status, "serving; the database is up")
        case .down: outbox.put(.status, "serving; the database is down\(cause)")
        case .misconfigured where outage?.cause.isInvalidConninfo == true:
            outbox.put(.status, "serving; the database setting cannot be used\(cause)")
        case .misconfigured: outbox.put(.status, "serving; the database refuses the log-in\(cause)")
        case .readOnly: outbox.put(.status, "serving; the database is read-only\(cause)")
        case .suspect, .draining, .closed: return  // A moment that nobody is told of, and the end.
        }
        told = health
        flush()
    }

    /// On the loop's own timer: a loop that does not turn does not beat.
    private func beat() {
        if let beatInterval {
            outbox.put(.watchdog)
            _ = loop.schedule(at: loop.now + beatInterval) { [weak self] in self?.beat() }
        }
        flush()
    }

    private func flush() {
        guard !outbox.isEmpty, retryTimer == nil else { return }
        switch socket.send(outbox.message) {
        case .sent, .failed: outbox.clear()
        case .full:
            retryTimer = loop.schedule(at: loop.now + Self.retryInterval) { [weak self] in
                self?.retryTimer = nil
                self?.flush()
            }
        }
    }
}
