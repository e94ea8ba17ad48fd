package import DispatchLoop
package import DispatchPostgres

/// Whether a service that requires its database is ready: the state of the database, with hysteresis.
///
/// ```
///            lost                       up without trouble for `stabilization`
///   ready ──────────▶ not ready ────────────────────────────────────▶ ready
///     │ suspect                │ suspect: stabilization restarts
///     └─▶ stays ready          └─▶ stays not ready
/// ```
///
/// - Not ready: when the pool reports the database as lost, after its grace (750 ms by default) or at once after a
///   rejected login. An interruption that requests wait through changes nothing.
/// - Ready: when the database has been up for ``firstStabilization``. If it is lost again within ``flapWindow``, the
///   next stabilization takes ``flapWindow``, and twice as long each further time, up to ``longestStabilization``. So a
///   single stop and start each show within a second, and a load balancer sees a flapping database come back only once
///   until it stays up.
/// - An uptime of ``resetAfter`` resets the stabilization.
package struct ReadinessGate: Sendable {
    package static let firstStabilization = Duration.milliseconds(250)
    package static let flapWindow = Duration.seconds(3)
    package static let longestStabilization = Duration.seconds(12)
    package static let resetAfter = Duration.seconds(30)

    /// The number of short uptimes in a row.
    package private(set) var flaps = 0
    private var isOpen = false
    /// Whether the database has been lost before. The first loss is not a flap, however soon after the start.
    private var hasBeenLost = false
    /// The start of the current uptime; `nil` while the database is not up.
    private var upSince: MonotonicTime?
    /// The uptime before the current outage; `nil` once counted, or if there was none.
    private var uptime: Duration?

    package init() {}

    /// The uptime that makes the service ready.
    package var stabilization: Duration {
        guard flaps > 0 else { return Self.firstStabilization }
        return min(Self.flapWindow * (1 << min(flaps - 1, 8)), Self.longestStabilization)
    }

    /// Records a state that the pool reports.
    package mutating func databaseIs(_ health: DatabaseState, at now: MonotonicTime) {
        switch health {
        case .up:
            if upSince == nil { upSince = now }
        case .suspect:
            endUptime(at: now)
        case .down, .misconfigured, .readOnly, .draining, .closed:
            endUptime(at: now)
            isOpen = false
            let isFirst = !hasBeenLost
            hasBeenLost = true
            guard let uptime else { return }
            self.uptime = nil
            if isFirst { return }
            if uptime < max(Self.flapWindow, stabilization) {
                flaps += 1
            } else if uptime >= Self.resetAfter {
                flaps = 0
            }
        }
    }

    /// Whether the service is ready.
    package func isReady(at now: MonotonicTime) -> Bool {
        isOpen || upSince.map { now - $0 >= stabilization } ?? false
    }

    /// The rest of the stabilization; `nil` if the service is ready or the database is not up.
    package func remaining(at now: MonotonicTime) -> Duration? {
        guard !isReady(at: now), let upSince else { return nil }
        return upSince + stabilization - now
    }

    private mutating func endUptime(at now: MonotonicTime) {
        guard let upSince else { return }
        isOpen = isReady(at: now)
        uptime = now - upSince
        self.upSince = nil
    }
}
