import DispatchLoop
import PostgresConnection

/// The supervisor: what is known of the database, and the search for it while it does not answer. All changes of
/// ``PoolMachine/health`` are in this file; ``PoolHealth`` has the diagram.
extension PoolMachine {
    /// Checks of idle connections, where there are any, get this much of a start on the first probe: they are cheaper
    /// than a connect and usually answer within a millisecond.
    static let headStart = Duration.milliseconds(10)
    /// A session ended by an administrator is one session; a second one within this time is taken for more.
    static let terminationWindow = Duration.seconds(1)

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

    /// The server answered on this connection, which stays leased.
    mutating func heard(_ id: ConnectionID, at now: MonotonicTime) {
        let wasHeldUp = health.isProbing || ramp.hasFailed
        answered(id, at: now)
        if wasHeldUp, health == .up { settle(at: now) }
    }

    /// As ``heard(_:at:)``, for a connection that is about to come home; waiters are seen to when it has.
    mutating func answered(_ id: ConnectionID, at now: MonotonicTime) {
        // That older connections go on answering says nothing of new ones.
        if slots.slot(id)?.hasAnswered == false {
            slots.update(id) { $0.hasAnswered = true }
            ramp.answered()
        }
        takeProof(id, at: now)
    }

    /// The server is there: it has answered, or let us in.
    mutating func takeProof(_ id: ConnectionID, at now: MonotonicTime) {
        guard let slot = slots.slot(id) else { return }
        slots.update(id) {
            $0.lastHeard = now
            $0.isSilent = false
            $0.canBeAbandoned = false
        }
        // A retired connection may go to a server that answers and is still not the right one.
        guard slot.generation == generation else { return }
        latestProof = now
        if health.isProbing { becomeUp(at: now) }
    }

    /// A leased connection has been silent for longer than ``PoolSettings/silence``. `canBeAbandoned`: its query is safe
    /// to repeat, and the one who leased it waits for another connection as well.
    mutating func silent(_ id: ConnectionID, canBeAbandoned: Bool, at now: MonotonicTime) {
        guard slots.state(id) == .leased else { return }
        slots.update(id) {
            $0.isSilent = true
            $0.canBeAbandoned = canBeAbandoned
        }
        switch health {
        case .up:
            // Others have answered meanwhile: this one is slow, or dead for itself.
            if latestProof > now - settings.silence { return }
            // With every slot at work on queries that nobody wants to lose, nothing can be found out.
            guard slots.hasFree || !slots.idle.isEmpty || canBeAbandoned else { return }
            becomeSuspect(Self.silenceCause, at: now)
        case .suspect, .down, .misconfigured, .readOnly: runProber(at: now)
        case .draining, .closed: break
        }
    }

    /// A session ended, or a statement failed, with this error: does it concern the others?
    mutating func assess(_ error: PostgresError, at now: MonotonicTime) {
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
        case .statement, .configuration: break
        case .discard:
            // A check or a query that was never answered: silence, unless others have been heard meanwhile.
            let isSilence = error.code == PostgresError.Code.queryTimeout
            if isSilence, latestProof < now - settings.silence { becomeSuspect(Self.silenceCause, at: now) }
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

    /// A connect failed, whatever it was for.
    mutating func connectFailed(probe id: ConnectionID, _ error: PostgresError, at now: MonotonicTime) {
        actions.append(.report(.connectFailed(error)))
        if health == .up {
            if slots.livingCount > 0 {
                let isFirst = ramp.failed(at: now, isSlow: error.disposition == .configuration, using: &random)
                if isFirst { actions.append(.report(.growthFailed(error))) }
                return
            }
            becomeSuspect(error, at: now, firstProbeFailed: true)
        }
        guard health.isProbing else { return }
        outage?.failedAttempts += 1
        switch error.disposition {
        case .configuration: learn(error, slots.livingCount == 0 ? .misconfigured : health, at: now)
        case .wrongRole: learn(error, .readOnly, at: now)
        default: learn(error, health == .suspect ? .suspect : .down, at: now)
        }
        let isSlow = error.disposition == .configuration
        if !prober.failed(id, at: now, isSlow: isSlow, using: &random), !prober.isRunning { prober.begin(at: now) }
        // The probe that they waited for has failed. In suspect they wait on, for the grace.
        if health.failsAtOnce { failWaiters(at: now) }
    }

    // MARK: Transitions

    private mutating func becomeSuspect(_ cause: PostgresError, at now: MonotonicTime, firstProbeFailed: Bool = false) {
        outage = Outage(since: now, cause: cause)
        move(to: .suspect, at: now)
        ramp.restart()
        let suspects = slots.idle.map(slots.id(at:))
        for id in suspects { beginCheck(id, at: now) }
        for id in slots.ids(in: .connecting) { prober.adopt(id, startedAt: since(id)) }
        prober.begin(at: suspects.isEmpty || firstProbeFailed ? now : now + Self.headStart)
        if !firstProbeFailed { runProber(at: now) }
    }

    private mutating func becomeUp(at now: MonotonicTime) {
        var overtaken = prober.flights.map(\.id)
        prober.stop()
        demandLimit = nil
        move(to: .up, at: now)
        outage = nil
        // One of them may go on, if there is a use for it: the youngest is the likeliest to succeed.
        if !overtaken.isEmpty, waiters.count > slots.idle.count { overtaken.removeLast() }
        for id in overtaken { close(id, .overtaken, at: now) }
    }

    /// Takes in what the latest connect said of the outage.
    private mutating func learn(_ error: PostgresError, _ next: PoolHealth, at now: MonotonicTime) {
        let isNew = outage.map { $0.cause.code != error.code } ?? false
        outage?.cause = error
        if next != health {
            move(to: next, at: now)
        } else if isNew, health.failsAtOnce {
            actions.append(.report(.causeChanged(error)))
        }
    }

    private mutating func move(to next: PoolHealth, at now: MonotonicTime) {
        let previous = health
        health = next
        actions.append(.report(.healthChanged(from: previous, to: next, outage: outage, at: now)))
    }

    private mutating func failWaiters(at now: MonotonicTime) {
        demandLimit = nil
        let error = poolError(health == .draining ? .closed : .unavailable, at: now)
        while let waiter = waiters.dequeue() { actions.append(.fail(waiter, error)) }
    }

    /// What passes with time: the grace, and the wait for a probe begun on demand.
    mutating func supervise(at now: MonotonicTime) {
        switch health {
        case .suspect:
            if let outage, now >= outage.since + settings.grace {
                move(to: .down, at: now)
                failWaiters(at: now)
            }
        case .down, .misconfigured, .readOnly:
            if let demandLimit, now >= demandLimit { failWaiters(at: now) }
        case .draining:
            if now >= drainDeadline {
                // Slots kept for a request to cancel: its helper is not waited for.
                for id in slots.ids(in: .closing) { slots.release(id, at: now) }
                for state in [SlotState.leased, .resetting] {
                    for id in slots.ids(in: state) { close(id, .drainDeadline, at: now) }
                }
                drainDeadline = .distantFuture
            }
        case .up:
            if let hungSince = connectHungSince, now >= hungSince + settings.silence {
                becomeSuspect(Self.silenceCause, at: now)
            }
        case .closed: break
        }
    }

    /// While nothing lives and a connect is under way: when the oldest one began. A database that does not even answer a
    /// connect is no more up than one that does not answer a query.
    var connectHungSince: MonotonicTime? {
        guard health == .up, slots.livingCount == 0, slots.connectingCount > 0 else { return nil }
        return slots.ids(in: .connecting).map(since).min()
    }

    // MARK: Probing

    /// Begins a probe if one is due.
    mutating func runProber(at now: MonotonicTime) {
        guard health.isProbing, prober.nextAt <= now else { return }
        let hasRoom = prober.flights.count < min(Prober.maximumFlights, settings.maximum)
        if hasRoom, beginConnect(at: now) { return }
        if prober.flights.isEmpty {
            // `closed` comes back here when there is room.
            if !makeRoom(at: now) { prober.postpone(at: now) }
        } else if let id = prober.mostDispensable(at: now) {
            // As above.
            prober.remove(id)
            close(id, .hung, at: now)
        } else {
            prober.postpone(at: now)
        }
    }

    /// Gives up a connection of which nobody knows whether it lives, so that a probe can find out about the database.
    /// `closed` comes back to the probe. Never more sockets than the maximum, not even now.
    private mutating func makeRoom(at now: MonotonicTime) -> Bool {
        let silent = slots.ids(in: .leased).filter { slots.slot($0)?.canBeAbandoned ?? false }
        let longestSilent = silent.min { since($0) < since($1) }
        guard let victim = slots.ids(in: .checking).first ?? longestSilent else { return slots.closingCount > 0 }
        close(victim, .madeRoom, at: now)
        return true
    }

    private func since(_ id: ConnectionID) -> MonotonicTime { slots.slot(id)?.since ?? .distantFuture }

    // MARK: Retiring and draining

    /// All connections of today are to be replaced: idle ones now, leased ones when they come home.
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
