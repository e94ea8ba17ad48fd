import DispatchLoop
import PostgresSession

/// Replacing connections that are as old as they may become. The successor comes first: where newcomers are refused – a
/// rotated password, a changed pg_hba.conf, a name that is lost – the last session that works is worth more than its age.
struct Retirement: Sendable, Hashable {
    /// A connection is due and needs a successor.
    var isWanted = false
    /// How many successors have proved themselves for connections that are not closed yet; −1 where one was closed first,
    /// because its slot is the successor's.
    var credit = 0
}

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
            if slot.expiresAt <= now, mayRetire(slot, at: now) {
                close(id, slot.expiryReason, at: now)
            } else if let timeout = settings.idleTimeout, slot.since + timeout <= now, openCount > settings.minimum,
                // What cannot be had again is kept.
                !slowStart.hasFailed
            {
                close(id, .idleTimeout, at: now)
            } else if let keepalive = settings.keepalive, slot.lastReplyAt + keepalive <= now {
                beginCheck(id, at: now)
            }
        }
        if let keepalive = standbyKeepalive, latestReply + keepalive <= now, health == .up, let index = slots.idle.last
        {
            beginCheck(slots.id(at: index), at: now)
        }
        maintenanceAt = slots.idle.map { maintenanceDue(slots.slots[$0]) }.min() ?? .distantFuture
        // What is due and could not be done (the minimum is reached) must not keep the timer firing.
        if maintenanceAt <= now { maintenanceAt = now + Self.lifetimeSpacing }
    }

    // MARK: Successors

    /// All connections are to be replaced, as if they were as old as they may become.
    mutating func replaceAll(at now: MonotonicTime) {
        for index in slots.slots.indices where slots.slots[index].state != .free {
            slots.update(slots.id(at: index)) {
                $0.expiresAt = min($0.expiresAt, now)
                $0.expiryReason = .retired
            }
        }
        if health == .up { maintain(at: now) }
        serveWaiters(at: now)
    }

    /// Connections that are older than they may become and serve on, because no successor is there yet.
    func overdueCount(at now: MonotonicTime) -> Int {
        slots.slots.count { $0.isOpen && $0.expiresAt <= now }
    }

    /// Whether a connection that is due may be closed now. Asked only by one who closes it then.
    mutating func mayRetire(_ slot: Slot, at now: MonotonicTime) -> Bool {
        guard health == .up else { return false }
        if retirement.credit > 0 {
            retirement.credit -= 1
            return true
        }
        retirement.isWanted = true
        // All slots are taken, so the successor needs this one; one at a time, and only where others serve meanwhile.
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

    /// A successor has proved itself: closes one that is due and idle. One that is leased is closed when it comes home.
    mutating func retireDue(at now: MonotonicTime) {
        for index in slots.idle where slots.slots[index].expiresAt <= now && retirement.credit > 0 {
            retirement.credit -= 1
            close(slots.id(at: index), slots.slots[index].expiryReason, at: now)
        }
        let overdue = overdueCount(at: now)
        retirement.credit = min(retirement.credit, overdue)
        retirement.isWanted = overdue > retirement.credit
    }

    /// A connection that was due has gone by itself: its successor is nobody else's.
    mutating func limitCredit(at now: MonotonicTime) {
        if retirement.credit > 0 { retirement.credit = min(retirement.credit, overdueCount(at: now)) }
    }

    /// Slots in use that are not on their way out.
    private var openCount: Int { slots.usedCount - slots.closingCount }
}
