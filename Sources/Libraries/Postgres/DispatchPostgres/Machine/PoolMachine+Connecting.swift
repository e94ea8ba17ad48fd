import DispatchLoop
import PostgresSession

/// Connects for waiters, for the minimum and for successors, as many at once as slow start allows.
extension PoolMachine {
    /// An accepted connect that has been silent for this long, and for longer than a login usually takes, is hung. It
    /// may still succeed; growth no longer counts on it.
    static let hungAfter = Duration.seconds(1)

    // MARK: Progress and result

    /// A server has accepted the connect or, with `isAnswer`, sent something.
    mutating func progressed(_ id: ConnectionID, isAnswer: Bool, at now: MonotonicTime) {
        // A second address that accepts is not progress.
        guard let slot = slots.slot(id), slot.state == .connecting, isAnswer || slot.acceptedAt == nil else { return }
        slots.update(id) {
            if slot.acceptedAt == nil { $0.acceptedAt = now }
            if isAnswer { $0.spokeAt = now }
            $0.isHung = false
        }
        prober.accepted(id)
        guard isAnswer, slot.spokeAt == nil else {
            // Waiters count as demand, like new requests.
            if !isAnswer, state.isProbing, !waiters.isEmpty { bringProbeForward(at: now) }
            return
        }
        // Slow start counts the server's first message, not only completed logins.
        prober.serverReplied(id)
        if state.isUp {
            grow(at: now)
        } else if state.isProbing, waiters.count > prober.probes.count {
            bringProbeForward(at: now)
        }
    }

    /// The accepted socket has ended, and the connect tries other addresses: no server holds it now.
    mutating func lostServer(_ id: ConnectionID, at now: MonotonicTime) {
        guard slots.state(id) == .connecting else { return }
        slots.update(id) {
            $0.acceptedAt = nil
            $0.spokeAt = nil
            $0.isHung = false
        }
        prober.lostServer(id, at: now)
        if !waiters.isEmpty { bringProbeForward(at: now) }
    }

    /// A step before the connect (asking for a password) is done: as if the connect began now.
    mutating func beginsConnecting(_ id: ConnectionID, at now: MonotonicTime) {
        guard slots.state(id) == .connecting else { return }
        slots.update(id) {
            $0.acceptedAt = nil
            $0.spokeAt = nil
            $0.isHung = false
        }
        prober.restarted(id, at: now)
    }

    /// A connect succeeded after `took` nanoseconds; 0 if that says nothing about the server.
    mutating func connected(_ id: ConnectionID, hasWrongRole: Bool, took: Int64 = 0, at now: MonotonicTime) {
        guard let slot = slots.slot(id), slot.state == .connecting else { return }
        if hasWrongRole, target.isStrict {
            close(id, .wrongRole, at: now)
            connectFailed(probe: id, target.wrongRole, began: slot.since, at: now)
            return
        }
        prober.remove(id)
        if state.isDraining || slot.generation != generation {
            close(id, state.isDraining ? .drained : .retired, at: now)
            return
        }
        let wasQuick = took > 0 && took <= logins.limit(floor: silenceLimit)
        if took > 0 { logins.add(nanoseconds: took) }
        let expiry = expiry(at: now)
        slots.update(id) {
            $0.expiresAt = expiry
            if hasWrongRole { $0.role = .accepted }
        }
        actions.append(.report(.connected(id)))
        latestSuccessBegan = max(latestSuccessBegan, slot.since)
        slowStart.connected()
        confirmAlive(id, isQuick: wasQuick, at: now)
        if slot.isReplacement || retirement.credit < 0 {
            retirement.credit += 1
            retireDue(at: now)
        }
        checkIn(id, at: now)
    }

    /// A connect that had opened `sockets` sockets failed. With `keepsSlot` another thread still holds one, and
    /// `closed` follows.
    mutating func connectFailed(
        _ id: ConnectionID, _ error: PostgresError, sockets: Int = 1, keepsSlot: Bool = false, at now: MonotonicTime
    ) {
        guard let slot = slots.slot(id), slot.state == .connecting else { return }
        if keepsSlot { slots.beginClose(id, at: now) } else { slots.release(id, at: now) }
        connectFailed(
            probe: id, error, sockets: sockets, began: slot.since, isReplacement: slot.isReplacement, at: now)
        serveWaiters(at: now)
    }

    /// A slot for an additional socket of a connect that races addresses; `nil` when none is free.
    mutating func borrowSlot(at now: MonotonicTime) -> ConnectionID? { slots.borrow(at: now) }

    /// The additional socket is closed.
    mutating func returnSlot(_ id: ConnectionID, at now: MonotonicTime) {
        guard slots.slot(id)?.isBorrowed == true else { return }
        slots.release(id, at: now)
        serveWaiters(at: now)
    }

    // MARK: Beginning

    mutating func grow(at now: MonotonicTime) {
        if slowStart.hasFailed, let latest = prober.lastStart { slowStart.hold(until: latest + Prober.demandSpacing) }
        guard state.isUp else { return }
        guard slots.connectingCount > 0 || isGrowthWanted || retirement.isWanted else { return }
        if slots.connectingCount > 0 {
            noteHung(at: now)
            closeOvertaken(at: now)
        }
        guard now >= slowStart.blockedUntil else { return }
        let need = growthNeed
        guard need > 0 else { return beginReplacement(at: now) }
        guard slots.hasFree else {
            if slots.connectingCount > 0 { closeHung(at: now) }
            return
        }
        guard now >= besideHungAt else { return }
        let silent =
            hopefulCount - (slowStart.hasFailed ? 0 : connectingSlots.count { $0.spokeAt != nil && !$0.isHung })
        let count = min(need, (slowStart.hasFailed ? 1 : slowStart.limit) - silent)
        for _ in 0..<max(count, 0) {
            if !beginConnect(at: now) { return }
        }
    }

    /// How many connects are missing.
    var growthNeed: Int {
        guard isGrowthWanted else { return 0 }
        return max(waiters.count - hopefulCount, settings.minimum - slots.usedCount, 0)
    }

    private var isGrowthWanted: Bool { !waiters.isEmpty || slots.usedCount < settings.minimum }

    /// When the pool may open the connections it wants, or must look at a running connect again.
    var growthAt: MonotonicTime {
        // The common case; runs several times per query.
        guard slots.connectingCount > 0 else {
            return slots.hasFree && (isGrowthWanted || retirement.isWanted) ? slowStart.blockedUntil : .distantFuture
        }
        var time = stalledAt ?? .distantFuture
        for slot in connectingSlots { time = min(time, overtakenAt(slot)) }
        guard isGrowthWanted else { return time }
        for slot in connectingSlots where !slot.isHung { time = min(time, hungAt(slot) ?? .distantFuture) }
        if hopefulCount > 0 { return time }
        if slots.hasFree { return min(time, max(slowStart.blockedUntil, besideHungAt)) }
        let oldest = connectingSlots.map(\.since).min() ?? .distantFuture
        return slots.closingCount > 0 ? time : min(time, max(slowStart.blockedUntil, oldest + Prober.acceptedPatience))
    }

    // MARK: Hung

    var connectingSlots: [Slot] {
        slots.connectingCount == 0 ? [] : slots.slots.filter { $0.state == .connecting }
    }

    /// Running connects that are not hung.
    private var hopefulCount: Int { slots.connectingCount - connectingSlots.count(where: \.isHung) }

    /// When a connect without further progress counts as hung; `nil` before a server has accepted it.
    private func hungAt(_ slot: Slot) -> MonotonicTime? {
        guard slot.acceptedAt != nil else { return nil }
        return slot.latestProgress.advanced(byNanoseconds: logins.limit(floor: Self.hungAfter.nanoseconds))
    }

    private mutating func noteHung(at now: MonotonicTime) {
        for id in slots.ids(in: .connecting) {
            if let due = slots.slot(id).flatMap(hungAt), due <= now { slots.update(id) { $0.isHung = true } }
        }
    }

    /// When to abandon a connect without progress because a younger one has succeeded.
    private func overtakenAt(_ slot: Slot) -> MonotonicTime {
        guard let hungAt = hungAt(slot), slot.since < latestSuccessBegan else { return .distantFuture }
        return max(hungAt, slot.since + Prober.acceptedPatience)
    }

    private mutating func closeOvertaken(at now: MonotonicTime) {
        for id in slots.ids(in: .connecting) {
            if let slot = slots.slot(id), overtakenAt(slot) <= now { close(id, .overtaken, at: now) }
        }
    }

    /// Hung connects may occupy server processes, so only one more per second joins them.
    private var besideHungAt: MonotonicTime {
        guard connectingSlots.contains(where: \.isHung), let latest = prober.lastStart else {
            return slowStart.blockedUntil
        }
        return latest + Prober.acceptedInterval
    }

    /// All slots are taken: closes the connect that has hung longest.
    private mutating func closeHung(at now: MonotonicTime) {
        let hung = slots.ids(in: .connecting).filter { slots.slot($0)?.isHung ?? false }
        guard slots.closingCount == 0, let oldest = hung.min(by: { since($0) < since($1) }),
            since(oldest) + Prober.acceptedPatience <= now
        else { return }
        close(oldest, .hung, at: now)
    }

    /// When running connects count as silence, while no session works. A database that does not answer a connect is as
    /// suspect as one that does not answer a query.
    var stalledAt: MonotonicTime? {
        guard state.isUp, slots.livingCount == 0, slots.connectingCount > 0 else { return nil }
        return connectingSlots.map { slot in
            slot.acceptedAt == nil
                ? slot.since.advanced(byNanoseconds: silenceLimit) : slot.latestProgress + Self.stall
        }.max()
    }

    /// `false` when no slot is free.
    @discardableResult
    mutating func beginConnect(isReplacement: Bool = false, at now: MonotonicTime) -> Bool {
        guard let id = slots.allocate(generation: generation, at: now) else { return false }
        if isReplacement { slots.update(id) { $0.isReplacement = true } }
        if state.isProbing {
            prober.started(id, at: now, isSlow: health == .misconfigured)
        } else {
            prober.noteConnect(at: now)
        }
        actions.append(.connect(id))
        actions.append(.report(.connecting(id)))
        return true
    }

    func since(_ id: ConnectionID) -> MonotonicTime { slots.slot(id)?.since ?? .distantFuture }
}
