import DispatchLoop
import PostgresSession

/// The supervisor: what is known of the database, and the search for it while it does not answer. All changes of
/// ``PoolMachine/health`` are in this file; ``DatabaseState`` has the diagram.
extension PoolMachine {
    /// Checks of idle connections, where there are any, get this much of a start on the first probe: they are cheaper
    /// than a connect and usually answer within a millisecond.
    static let headStart = Duration.milliseconds(10)
    /// A session ended by an administrator is one session; a second one within this time is taken for more.
    static let terminationWindow = Duration.seconds(1)
    /// How much longer than the grace requests wait for a log-in that gets on.
    static let longestLogin = Duration.seconds(10)

    static let silenceCause = PostgresError(
        code: PostgresError.Code.queryTimeout, message: "the database has stopped answering", disposition: .outage)
    static let startCause = PostgresError(
        code: PostgresError.Code.connection, message: "the database has not been reached yet", disposition: .outage)

    /// The pool begins its work: nothing is known, so the database is suspect and looked for.
    mutating func start(at now: MonotonicTime) {
        guard health == .suspect, outage == nil else { return }
        outage = Outage(since: now, cause: Self.startCause)
        prober.begin(at: now)
        runProber(at: now)
    }

    // MARK: Evidence

    /// The server answered on this connection, which stays leased, after so many nanoseconds; 0 where that is not known.
    mutating func recordReply(_ id: ConnectionID, took: Int64 = 0, at now: MonotonicTime) {
        let wasHeldUp = health.isProbing || slowStart.hasFailed
        answered(id, took: took, at: now)
        if wasHeldUp, health == .up { serveWaiters(at: now) }
    }

    /// As ``heard(_:took:at:)``, for a connection that is about to come home; waiters are seen to when it has.
    mutating func answered(_ id: ConnectionID, took: Int64, at now: MonotonicTime) {
        // That older connections go on answering says nothing of new ones.
        if slots.slot(id)?.hasAnswered == false {
            slots.update(id) { $0.hasAnswered = true }
            slowStart.answered()
        }
        let isQuick = took > 0 && took <= silenceLimit
        if took > 0 { answers.add(nanoseconds: took) }
        confirmAlive(id, isQuick: isQuick, began: now.advanced(byNanoseconds: -took), at: now)
    }

    /// The server is there: it has answered, or let us in.
    mutating func confirmAlive(
        _ id: ConnectionID, isQuick: Bool, began: MonotonicTime? = nil, at now: MonotonicTime
    ) {
        guard let slot = slots.slot(id) else { return }
        slots.update(id) {
            $0.lastReplyAt = now
            $0.isSilent = false
            $0.canBeAbandoned = false
            $0.isHedged = false
        }
        // A retired connection may go to a server that answers and is still not the right one.
        guard slot.generation == generation else { return }
        latestReply = now
        if isQuick {
            latestQuickQuestion = max(latestQuickQuestion, began ?? slot.since)
            if slots.silentCount > 0 { hedgeSilent(butFor: id, at: now) }
        }
        doubt = nil
        if health.isProbing { becomeUp(at: now) }
    }

    /// A session ended, or a statement failed, with this error: does it concern the others?
    mutating func classify(_ error: PostgresError, at now: MonotonicTime) {
        switch health {
        case .up: break
        case .suspect:
            if let known = outage?.cause, known == Self.silenceCause, error.disposition == .outage {
                outage?.cause = error
            }
            return
        case .down, .misconfigured, .readOnly, .draining, .closed: return
        }
        switch error.disposition {
        case .statement, .discard, .configuration: break
        case .terminated:
            let previous = latestTermination
            latestTermination = now
            if let previous, now - previous < Self.terminationWindow { becomeSuspect(error, at: now) }
        case .outage: becomeSuspect(error, at: now)
        case .wrongRole:
            guard requiresReadWrite else { break }
            retireGeneration(at: now)
            becomeSuspect(error, at: now)
        }
    }

    /// A connect that began at that time has failed, whatever it was for.
    mutating func connectFailed(
        probe id: ConnectionID, _ error: PostgresError, sockets: Int = 1, began: MonotonicTime,
        isReplacement: Bool = false, at now: MonotonicTime
    ) {
        actions.append(.report(.connectFailed(error)))
        let isSlow = error.disposition == .configuration
        if health == .up {
            if slots.livingCount > 0 {
                let isFirst = slowStart.failed(sockets: sockets, at: now, isSlow: isSlow, using: &random)
                if isFirst {
                    actions.append(.report(isReplacement ? .retirementPostponed(error) : .growthFailed(error)))
                }
                return
            }
            becomeSuspect(error, firstProbeFailed: true, at: now)
        }
        guard health.isProbing else { return }
        outage?.failedAttempts += 1
        // What an older connect says of the present is out of date; unless all that a newer one had to say was that it could not
        // be made.
        if began >= causeBegan || outage?.cause.code == PostgresError.Code.loginKeys {
            causeBegan = began
            switch error.disposition {
            case .configuration: updateCause(error, slots.livingCount == 0 ? .misconfigured : health, at: now)
            case .wrongRole: updateCause(error, .readOnly, at: now)
            default: updateCause(error, health == .suspect ? .suspect : .down, at: now)
            }
        }
        if !prober.failed(id, sockets: sockets, at: now, isSlow: isSlow, using: &random), !prober.isRunning {
            prober.begin(at: now)
        }
        // The probe that they waited for has failed. In suspect they wait on, for the grace.
        if health.failsAtOnce { failWaiters(at: now) }
        // Those who wait are as much of a demand as those who come.
        if !waiters.isEmpty { bringProbeForward(at: now) }
    }

    /// A connect that is under way is held up on this side; it has not failed yet.
    mutating func heldUp(_ error: PostgresError, at now: MonotonicTime) {
        guard health.isProbing, outage?.cause.code != error.code, outage?.cause.severity == nil else { return }
        updateCause(error, health, at: now)
    }

    // MARK: Transitions

    mutating func becomeSuspect(
        _ cause: PostgresError, since start: MonotonicTime? = nil, firstProbeFailed: Bool = false,
        at now: MonotonicTime
    ) {
        outage = Outage(since: start ?? now, cause: cause)
        causeBegan = MonotonicTime(nanoseconds: .min)
        doubt = nil
        move(to: .suspect, at: now)
        slowStart.restart()
        let suspects = slots.idle.map(slots.id(at:))
        for id in suspects { beginCheck(id, at: now) }
        for id in slots.ids(in: .connecting) {
            prober.track(id, startedAt: since(id), isAccepted: slots.slot(id)?.acceptedAt != nil)
        }
        prober.begin(at: suspects.isEmpty || firstProbeFailed ? now : now + Self.headStart)
        if !firstProbeFailed { runProber(at: now) }
    }

    private mutating func becomeUp(at now: MonotonicTime) {
        let probes = prober.probes
        prober.stop()
        onDemandDeadline = nil
        move(to: .up, at: now)
        outage = nil
        // The youngest are the likeliest to succeed, and as good as done where they do not hang. Those that a server has accepted go on there whatever we do, and count
        // until they are done: they are let finish.
        var wanted = max(waiters.count - slots.idle.count - 1, settings.minimum - slots.usedCount + probes.count, 0)
        for flight in probes.reversed() where slots.state(flight.id) == .connecting {
            if flight.isAccepted || flight.startedAt + Prober.hangInterval > now || wanted > 0 {
                wanted -= 1
            } else {
                close(flight.id, .overtaken, at: now)
            }
        }
    }

    /// Takes in what the latest connect said of the outage.
    private mutating func updateCause(_ error: PostgresError, _ next: DatabaseState, at now: MonotonicTime) {
        let isNew = outage.map { $0.cause.code != error.code } ?? false
        outage?.cause = error
        if next != health {
            move(to: next, at: now)
        } else if isNew, health.failsAtOnce {
            actions.append(.report(.causeChanged(error)))
        }
    }

    private mutating func move(to next: DatabaseState, at now: MonotonicTime) {
        let previous = health
        health = next
        actions.append(.report(.healthChanged(from: previous, to: next, outage: outage, at: now)))
    }

    private mutating func failWaiters(at now: MonotonicTime) {
        onDemandDeadline = nil
        let error = poolError(health == .draining ? .closed : .unavailable, at: now)
        while let waiter = waiters.dequeue() { actions.append(.fail(waiter, error)) }
    }

    /// What passes with time: the grace, and the wait for a probe begun on demand.
    mutating func supervise(at now: MonotonicTime) {
        switch health {
        case .suspect:
            if let outage, now >= graceEnd(of: outage) {
                move(to: .down, at: now)
                failWaiters(at: now)
            }
        case .down, .misconfigured, .readOnly:
            if let onDemandDeadline, now >= onDemandDeadline { failWaiters(at: now) }
        case .draining:
            if now >= drainDeadline {
                // Slots that a helper's thread holds: it is not waited for.
                for id in slots.ids(in: .closing) { slots.release(id, at: now) }
                for state in [SlotState.leased, .resetting] {
                    for id in slots.ids(in: state) { close(id, .drainDeadline, at: now) }
                }
                drainDeadline = .distantFuture
            }
        case .up:
            superviseDoubt(at: now)
            if health == .up, let stalledAt, now >= stalledAt { becomeSuspect(Self.silenceCause, at: now) }
        case .closed: break
        }
    }

    /// Until when those who wait are told nothing. A log-in that gets on is no silence, and one that was accepted has the
    /// time in which a slow database answers.
    func graceEnd(of outage: Outage) -> MonotonicTime {
        var end = outage.since + settings.outageGrace
        let accepted = prober.probes.first(where: \.isAccepted).flatMap { slots.slot($0.id)?.acceptedAt }
        if let accepted { end = max(end, accepted + Self.stall) }
        for flight in prober.probes {
            if let spoke = slots.slot(flight.id)?.spokeAt { end = max(end, spoke + Self.stall) }
        }
        return min(end, outage.since + settings.outageGrace + Self.longestLogin)
    }

    // MARK: Probing

    /// Begins a probe if one is due.
    mutating func runProber(at now: MonotonicTime) {
        guard health.isProbing, prober.nextAt <= now else { return }
        if prober.mayFlyAnother(maximum: settings.maximum), beginConnect(at: now) { return }
        if prober.probes.isEmpty {
            // `closed` comes back here when there is room.
            if !makeRoom(at: now), slots.closingCount == 0 { prober.postpone(at: now) }
        } else if slots.closingCount > 0 {
            prober.postpone(at: now)
        } else if let id = prober.oldestExpendable(at: now) {
            // As above.
            prober.remove(id)
            close(id, .hung, at: now)
        } else if slots.hasFree || !makeRoom(at: now) {
            prober.postpone(at: now)
        }
    }

    /// Gives up a connection of which nobody knows whether it lives, so that a probe can find out about the database.
    /// `closed` comes back to the probe. Never more sockets than the maximum, not even now.
    private mutating func makeRoom(at now: MonotonicTime) -> Bool {
        let silent = slots.ids(in: .leased).filter { slots.slot($0)?.canBeAbandoned ?? false }
        let longestSilent = silent.min { since($0) < since($1) }
        // What was given up holds its slot until the server has let go; that counts less than finding the database.
        let candidates = [slots.ids(in: .checking).first, longestSilent, slots.ids(in: .resetting).first]
        if makingRoom != nil { return true }
        guard let victim = candidates.compactMap({ $0 }).first else { return false }
        makingRoom = victim
        close(victim, .madeRoom, at: now)
        return true
    }

    // MARK: Retiring and draining

    /// No connection of today is to be used any more, for it may go to the wrong server: idle ones are closed now, leased
    /// ones when they come home.
    mutating func retireGeneration(at now: MonotonicTime) {
        generation &+= 1
        for state in [SlotState.idle, .checking] {
            for id in slots.ids(in: state) { close(id, .retired, at: now) }
        }
        for id in slots.ids(in: .connecting) {
            prober.remove(id)
            close(id, .retired, at: now)
        }
    }

    /// No more requests. What is leased may come home until the deadline.
    mutating func drain(at now: MonotonicTime, deadline: MonotonicTime) {
        guard health != .draining, health != .closed else { return }
        prober.stop()
        doubt = nil
        move(to: .draining, at: now)
        outage = nil
        drainDeadline = deadline
        failWaiters(at: now)
        for state in [SlotState.idle, .checking, .connecting] {
            for id in slots.ids(in: state) { close(id, .drained, at: now) }
        }
        finishDraining(at: now)
    }

    mutating func finishDraining(at now: MonotonicTime) {
        if health == .draining, slots.usedCount == 0 { move(to: .closed, at: now) }
    }
}
