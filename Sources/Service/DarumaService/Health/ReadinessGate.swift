package import DispatchLoop
package import DispatchPostgres

/// Whether a service that is useless without its database is ready: what the pool says of the database, with hysteresis.
///
/// ```
///            lost                       up without trouble for `stabilization`
///   ready ──────────▶ not ready ────────────────────────────────────▶ ready
///     │ suspect                │ suspect: the time begins anew
///     └─▶ stays ready          └─▶ stays not ready
/// ```
///
/// - Not ready is said when the pool has given the database up, which is after its own grace (750 ms by default) or at
///   once after a refusal that a person has to mend. An outage that requests wait through changes nothing.
/// - Ready is said when the database has been up for ``firstStabilization``. When it goes away again sooner than ``flapWindow`` after
///   it came, it has to stay for longer than that the next time, and twice as long each time after, up to
///   ``longestStabilization``. So a single stop and start shows both ways within a second, and a database that comes and goes
///   every second or two makes a load balancer see it come back once, and then no more before it stays.
/// - All that is forgotten once it has stayed for ``resetAfter``.
package struct ReadinessGate: Sendable {
    package static let firstStabilization = Duration.milliseconds(250)
    package static let flapWindow = Duration.seconds(3)
    package static let longestStabilization = Duration.seconds(12)
    package static let resetAfter = Duration.seconds(30)

    /// How many times in a row the database has gone away soon after it came.
    package private(set) var flaps = 0
    private var isOpen = false
    /// Whether the database has been away before. The first time is no relapse, however soon after the start.
    private var hasBeenLost = false
    /// Since when the database has been up without a sign of trouble; `nil` while it is not.
    private var upSince: MonotonicTime?
    /// How long it was up before the trouble that goes on; `nil` when that has been counted, or it never was.
    private var uptime: Duration?

    package init() {}

    /// How long the database has to be up before the service is ready.
    package var stabilization: Duration {
        guard flaps > 0 else { return Self.firstStabilization }
        return min(Self.flapWindow * (1 << min(flaps - 1, 8)), Self.longestStabilization)
    }

    /// The pool knows something new.
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

    /// How much longer the database has to stay; `nil` when the service is ready or the database is not there.
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
