import DispatchLoop
import PostgresConnection

/// What idle connections have due: replacement, closing, a sign of life.
extension PoolMachine {
    /// Lifetimes differ by up to this share, so that connections opened together do not end together.
    static let lifetimeJitter = 0.1
    /// And they are at least this far apart, or as far as the lifetime has room for.
    static let lifetimeSpacing = Duration.seconds(1)

    /// When a connection opened now is to be replaced.
    mutating func expiry(at now: MonotonicTime) -> MonotonicTime {
        guard let lifetime = settings.maximumLifetime else { return .distantFuture }
        let share = Double.random(in: -Self.lifetimeJitter...Self.lifetimeJitter, using: &random)
        let spacing = min(Self.lifetimeSpacing, lifetime / (4 * settings.maximum))
        var expiry = now + lifetime * (1 + share)
        let others = slots.slots.filter { $0.state != .free && $0.expiresAt != .distantFuture }.map(\.expiresAt)
        // Earlier and earlier until nobody is near; each of the others can be in the way only a few times.
        for other in others.sorted(by: >) where abs(expiry, other) < spacing { expiry = other - spacing }
        return max(expiry, now + spacing)
    }

    private func abs(_ left: MonotonicTime, _ right: MonotonicTime) -> Duration {
        left > right ? left - right : right - left
    }

    /// When the slot, if it stays idle, has something due.
    func maintenanceDue(_ slot: Slot) -> MonotonicTime {
        var due = slot.expiresAt
        if let keepalive { due = min(due, slot.lastHeard.advanced(byNanoseconds: keepalive)) }
        if let idleTimeout, slots.usedCount > settings.minimum {
            due = min(due, slot.since.advanced(byNanoseconds: idleTimeout))
        }
        if let keepalive = standbyKeepalive { due = min(due, latestProof + keepalive) }
        return due
    }

    private var standbyKeepalive: Duration? { role == .replica ? settings.standbyKeepalive : nil }

    mutating func maintain(at now: MonotonicTime) {
        // The bottom of the stack has been idle longest.
        for index in slots.idle {
            let id = slots.id(at: index)
            let slot = slots.slots[index]
            if slot.expiresAt <= now {
                close(id, .lifetime, at: now)
            } else if let timeout = settings.idleTimeout, slot.since + timeout <= now, openCount > settings.minimum {
                close(id, .idleTimeout, at: now)
            } else if let keepalive = settings.keepalive, slot.lastHeard + keepalive <= now {
                beginCheck(id, at: now)
            }
        }
        if let keepalive = standbyKeepalive, latestProof + keepalive <= now, health == .up, let index = slots.idle.last
        {
            beginCheck(slots.id(at: index), at: now)
        }
        maintenanceAt = slots.idle.map { maintenanceDue(slots.slots[$0]) }.min() ?? .distantFuture
        // What is due and could not be done (the minimum is reached) must not keep the timer firing.
        if maintenanceAt <= now { maintenanceAt = now + Self.lifetimeSpacing }
    }

    /// Slots in use that are not on their way out.
    private var openCount: Int { slots.usedCount - slots.closingCount }
}
