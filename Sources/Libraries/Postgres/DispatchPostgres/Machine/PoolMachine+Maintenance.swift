import DispatchLoop
import PostgresSession

/// Replaces connections at the end of their lifetime, and those whose server has changed its role. The successor comes first: while new logins are refused (a
/// rotated password, a changed pg_hba.conf, a lost DNS name) an old session that works is worth keeping.
struct Retirement: Sendable, Hashable {
    /// A connection has reached its lifetime and needs a successor.
    var isWanted = false
    /// The number of successors that have answered and whose predecessors are still open; −1 after a connection was
    /// closed first to give its slot to the successor.
    var credit = 0
}

/// Maintenance of idle connections: replacement, idle timeout, keepalive.
extension PoolMachine {
    /// Lifetimes vary by this share, so that connections opened together do not end together.
    static let lifetimeJitter = 0.1
    /// Expiries are at least this far apart, or as far as the lifetime allows.
    static let lifetimeSpacing = Duration.seconds(1)

    /// When to replace a connection that is opened now.
    mutating func expiry(at now: MonotonicTime) -> MonotonicTime {
        guard let lifetime = settings.maximumLifetime else { return .distantFuture }
        let share = Double.random(in: -Self.lifetimeJitter...Self.lifetimeJitter, using: &random)
        let spacing = min(Self.lifetimeSpacing, lifetime / (4 * settings.maximum))
        var expiry = now + lifetime * (1 + share)
        let others = slots.slots.filter { $0.state != .free && $0.expiresAt != .distantFuture }.map(\.expiresAt)
        // Move earlier until no other expiry is near; descending order visits each of them once.
        for other in others.sorted(by: >) where abs(expiry, other) < spacing { expiry = other - spacing }
        return max(expiry, now + spacing)
    }

    private func abs(_ left: MonotonicTime, _ right: MonotonicTime) -> Duration {
        left > right ? left - right : right - left
    }

    /// When the slot needs maintenance if it stays idle.
    func maintenanceDue(_ slot: Slot) -> MonotonicTime {
        var due = slot.expiresAt
        if let keepalive { due = min(due, slot.lastReplyAt.advanced(byNanoseconds: keepalive)) }
        if let idleTimeout, slots.usedCount > settings.minimum {
            due = min(due, slot.since.advanced(byNanoseconds: idleTimeout))
        }
        if let keepalive = standbyKeepalive { due = min(due, latestReply + keepalive) }
        return due
    }

    private var standbyKeepalive: Duration? { role == .replica ? settings.standbyKeepalive : nil }

    mutating func maintain(at now: MonotonicTime) {
        // The bottom of the stack has been idle longest.
        for index in slots.idle {
            let id = slots.id(at: index)
            let slot = slots.slots[index]
            if slot.expiresAt <= now, takeRetirement() {
                close(id, slot.retirementReason, at: now)
            } else if let timeout = settings.idleTimeout, slot.since + timeout <= now, openCount > settings.minimum,
                // Keep it while no new connection can be opened.
                !slowStart.hasFailed
            {
                close(id, .idleTimeout, at: now)
            } else if let keepalive, slot.lastReplyAt.advanced(byNanoseconds: keepalive) <= now {
                beginCheck(id, at: now)
            }
        }
        if let keepalive = standbyKeepalive, latestReply + keepalive <= now, state.isUp, let index = slots.idle.last {
            beginCheck(slots.id(at: index), at: now)
        }
        maintenanceAt = slots.idle.map { maintenanceDue(slots.slots[$0]) }.min() ?? .distantFuture
        // Maintenance that is due and impossible (at the minimum) must not keep the timer firing.
        if maintenanceAt <= now { maintenanceAt = now + Self.lifetimeSpacing }
    }

    // MARK: Successors

    /// Connections past their lifetime, or on a server that has lost the wanted role, that still serve because no
    /// successor has answered yet.
    func overdueCount(at now: MonotonicTime) -> Int {
        slots.slots.count { $0.isOpen && $0.expiresAt <= now }
    }

    /// Asks to close a connection that has reached its lifetime. `true` spends the credit of a successor: the caller
    /// must close the connection. `false` requests a successor.
    mutating func takeRetirement() -> Bool {
        guard state.isUp else { return false }
        if retirement.credit > 0 {
            retirement.credit -= 1
            return true
        }
        retirement.isWanted = true
        // All slots are taken, so the successor needs this one. One at a time, and only while others serve.
        let isFull = !slots.hasFree && slots.connectingCount == 0 && slots.closingCount == 0
        guard isFull, !slowStart.hasFailed, retirement.credit == 0, slots.livingCount > 1 || settings.maximum == 1
        else {
            return false
        }
        retirement.credit = -1
        return true
    }

    /// Opens a successor, one at a time.
    mutating func beginReplacement(at now: MonotonicTime) {
        guard retirement.isWanted, slots.connectingCount == 0 else { return }
        guard retirement.credit < overdueCount(at: now) else {
            retirement.isWanted = false
            return
        }
        beginConnect(isReplacement: true, at: now)
    }

    /// A successor has answered: closes an idle connection that is due. A leased one is closed at check-in.
    mutating func retireDue(at now: MonotonicTime) {
        for index in slots.idle where slots.slots[index].expiresAt <= now && retirement.credit > 0 {
            retirement.credit -= 1
            close(slots.id(at: index), slots.slots[index].retirementReason, at: now)
        }
        let overdue = overdueCount(at: now)
        retirement.credit = min(retirement.credit, overdue)
        retirement.isWanted = overdue > retirement.credit
    }

    /// A connection that was due ended on its own: its successor's credit must not close another one.
    mutating func limitCredit(at now: MonotonicTime) {
        if retirement.credit > 0 { retirement.credit = min(retirement.credit, overdueCount(at: now)) }
    }

    /// Open connections. A connect does not count: it may fail, and the pool would be left below the minimum.
    private var openCount: Int { slots.usedCount - slots.closingCount - slots.connectingCount }
}
