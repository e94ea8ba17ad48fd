import DispatchLoop
import PostgresSession

/// The supervisor: it tracks the state of the database, and searches for it while it does not answer. It decides all
/// changes of ``PoolMachine/state``; ``DatabaseState`` has the diagram.
extension PoolMachine {
    /// Head start of idle-connection checks over the first probe: they are cheaper than a connect and usually answer
    /// within a millisecond.
    static let headStart = Duration.milliseconds(10)
    /// An administrator who terminates one session may mean only that one; a second within this time makes the pool
    /// suspect.
    static let terminationWindow = Duration.seconds(1)
    /// How much longer than the grace period requests wait for a login that makes progress.
    static let longestLogin = Duration.seconds(10)

    static let silenceCause = PostgresError(
        code: PostgresError.Code.queryTimeout, message: "the database has stopped answering", disposition: .outage)
    static let startCause = PostgresError(
        code: PostgresError.Code.connection, message: "the database has not been reached yet", disposition: .outage)

    /// Starts the pool: the database is suspect until it answers, and the prober searches for it.
    mutating func start(at now: MonotonicTime) {
        guard case .notStarted = state else { return }
        move(to: .suspect(Search(outage: Outage(since: now, cause: Self.startCause))), at: now)
        prober.begin(at: now)
        runProber(at: now)
    }

    // MARK: Evidence

    /// The server replied on a connection that stays leased, after `took` nanoseconds; 0 if unknown.
    mutating func recordReply(_ id: ConnectionID, took: Int64 = 0, at now: MonotonicTime) {
        let wasHeldUp = state.isProbing || slowStart.hasFailed
        noteReply(id, took: took, at: now)
        if wasHeldUp, state.isUp { serveWaiters(at: now) }
    }

    /// As ``recordReply(_:took:at:)``, for a connection that is checked in next; check-in serves the waiters.
    mutating func noteReply(_ id: ConnectionID, took: Int64, at now: MonotonicTime) {
        // Replies on older connections say nothing about new ones.
        if slots.slot(id)?.hasAnswered == false {
            slots.update(id) { $0.hasAnswered = true }
            slowStart.proved()
        }
        let isQuick = took > 0 && took <= silenceLimit
        if took > 0 { answers.add(nanoseconds: took) }
        confirmAlive(id, isQuick: isQuick, began: now.advanced(byNanoseconds: -took), at: now)
    }

    /// The server works: it has replied, or admitted us.
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
        // A retired connection may lead to a server that answers but is the wrong one.
        guard slot.generation == generation else { return }
        latestReply = now
        if isQuick {
            latestQuickQuestion = max(latestQuickQuestion, began ?? slot.since)
            if slots.silentCount > 0 { hedgeSilent(butFor: id, at: now) }
        }
        doubt = nil
        if state.isProbing { becomeUp(at: now) }
    }

    /// A session or a statement failed with this error: decides whether it concerns the other sessions.
    mutating func classify(_ error: PostgresError, at now: MonotonicTime) {
        switch state {
        case .up: break
        case .suspect(let search):
            if search.outage.cause == Self.silenceCause, error.disposition == .outage {
                updateSearch { $0.outage.cause = error }
            }
            return
        case .notStarted, .down, .misconfigured, .readOnly, .draining, .closed: return
        }
        switch error.disposition {
        case .statement, .discard, .configuration: break
        case .terminated:
            let previous = latestTermination
            latestTermination = now
            if let previous, now - previous < Self.terminationWindow { becomeSuspect(error, at: now) }
        case .outage: becomeSuspect(error, at: now)
        case .wrongRole:
            guard target.requiresReadWrite else { break }
            retireGeneration(at: now)
            becomeSuspect(error, at: now)
        }
    }

    /// A connect that began at `began` has failed, whatever its purpose.
    mutating func connectFailed(
        probe id: ConnectionID, _ error: PostgresError, sockets: Int = 1, began: MonotonicTime,
        isReplacement: Bool = false, at now: MonotonicTime
    ) {
        actions.append(.report(.connectFailed(error)))
        let isSlow = error.disposition == .configuration
        if state.isUp {
            if slots.livingCount > 0, !retireMisplaced(error, at: now) {
                let isFirst = slowStart.failed(sockets: sockets, at: now, isSlow: isSlow, using: &random)
                if isFirst {
                    actions.append(.report(isReplacement ? .retirementPostponed(error) : .growthFailed(error)))
                }
                return
            }
            becomeSuspect(error, firstProbeFailed: true, at: now)
        }
        guard let search = state.search else { return }
        updateSearch { $0.outage.failedAttempts += 1 }
        // An older connect's failure is out of date, unless the newer one only failed on this side (login keys).
        if began >= search.causeBegan || search.outage.cause.code == PostgresError.Code.loginKeys {
            updateSearch { $0.causeBegan = began }
            switch error.disposition {
            case .configuration: updateCause(error, slots.livingCount == 0 ? .misconfigured : health, at: now)
            // A switchover or a restart of the primary may end within the grace period, also where a standby answers.
            case .wrongRole: updateCause(error, health == .suspect ? .suspect : .readOnly, at: now)
            default: updateCause(error, health == .suspect ? .suspect : .down, at: now)
            }
        }
        if !prober.failed(id, sockets: sockets, at: now, isSlow: isSlow, using: &random), !prober.isRunning {
            prober.begin(at: now)
        }
        // The probe they waited for has failed. While suspect, they keep waiting for the grace period.
        if health.failsAtOnce { failWaiters(at: now) }
        // Waiters count as demand, like new requests.
        if !waiters.isEmpty { bringProbeForward(at: now) }
    }

    /// A running connect is delayed on this side; it has not failed yet.
    mutating func heldUp(_ error: PostgresError, at now: MonotonicTime) {
        guard let cause = outage?.cause, cause.code != error.code, cause.severity == nil else { return }
        updateCause(error, health, at: now)
    }

    // MARK: Transitions

    mutating func becomeSuspect(
        _ cause: PostgresError, since start: MonotonicTime? = nil, firstProbeFailed: Bool = false,
        at now: MonotonicTime
    ) {
        doubt = nil
        move(to: .suspect(Search(outage: Outage(since: start ?? now, cause: cause))), at: now)
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
        move(to: .up, at: now)
        // Keep accepted probes: their logins run at the server in any case, and count until they end. Of the others
        // keep the youngest, which are the likeliest to succeed, as many as needed.
        var wanted = max(waiters.count - slots.idle.count - 1, settings.minimum - slots.usedCount + probes.count, 0)
        for probe in probes.reversed() where slots.state(probe.id) == .connecting {
            if probe.isAccepted || probe.startedAt + Prober.hangInterval > now || wanted > 0 {
                wanted -= 1
            } else {
                close(probe.id, .overtaken, at: now)
            }
        }
    }

    /// Records what the latest connect showed about the outage, and moves to the state that follows from it.
    private mutating func updateCause(_ error: PostgresError, _ next: DatabaseState, at now: MonotonicTime) {
        guard let previous = outage?.cause else { return }
        updateSearch { $0.outage.cause = error }
        guard let search = state.search else { return }
        switch next {
        case health:
            if previous.code != error.code, health.failsAtOnce {
                actions.append(.report(.causeChanged(error, at: now)))
            }
        case .down: move(to: .down(search), at: now)
        case .misconfigured: move(to: .misconfigured(search), at: now)
        case .readOnly: move(to: .readOnly(search), at: now)
        case .up, .suspect, .draining, .closed: break
        }
    }

    private mutating func failWaiters(at now: MonotonicTime) {
        updateSearch { $0.onDemandDeadline = nil }
        let error = poolError(state.isDraining ? .closed : .unavailable, at: now)
        while let waiter = waiters.dequeue() { actions.append(.fail(waiter, error)) }
    }

    /// Handles time limits: the grace period, a wait for a probe on demand, the drain deadline, silence.
    mutating func supervise(at now: MonotonicTime) {
        switch state {
        case .suspect(let search):
            if now >= graceEnd(of: search.outage) {
                let hasWrongRole = search.outage.cause.disposition == .wrongRole
                move(to: hasWrongRole ? .readOnly(search) : .down(search), at: now)
                failWaiters(at: now)
            }
        case .down(let search), .misconfigured(let search), .readOnly(let search):
            if let deadline = search.onDemandDeadline, now >= deadline { failWaiters(at: now) }
        case .draining(let deadline):
            if now >= deadline {
                // Slots whose connection another thread closes: the pool does not wait for it.
                for id in slots.ids(in: .closing) { slots.release(id, at: now) }
                for state in [SlotState.leased, .resetting] {
                    for id in slots.ids(in: state) { close(id, .drainDeadline, at: now) }
                }
                move(to: .draining(until: .distantFuture), at: now)
            }
        case .up:
            superviseDoubt(at: now)
            if state.isUp, let stalledAt, now >= stalledAt { becomeSuspect(Self.silenceCause, at: now) }
        case .notStarted, .closed: break
        }
    }

    /// How long waiters wait before they fail. A login that makes progress extends the grace period, and an accepted
    /// connect gets the time that a slow database needs to answer; not where a server has answered in the wrong role, for
    /// the others' logins make progress and end the same way.
    func graceEnd(of outage: Outage) -> MonotonicTime {
        let grace = outage.since + settings.outageGrace
        guard outage.cause.disposition != .wrongRole else { return grace }
        var end = grace
        let accepted = prober.probes.first(where: \.isAccepted).flatMap { slots.slot($0.id)?.acceptedAt }
        // Once: with several hosts a frozen one accepts again and again.
        if let accepted { end = max(end, min(accepted, grace) + Self.stall) }
        for probe in prober.probes {
            if let spoke = slots.slot(probe.id)?.spokeAt { end = max(end, spoke + Self.stall) }
        }
        return min(end, grace + Self.longestLogin)
    }

    // MARK: Probing

    /// Starts a probe if one is due.
    mutating func runProber(at now: MonotonicTime) {
        guard state.isProbing, prober.nextAt <= now else { return }
        if prober.mayStartAnother(maximum: settings.maximum), beginConnect(at: now) { return }
        if prober.probes.isEmpty {
            // `closed` calls this again when a slot is free.
            if !makeRoom(at: now), slots.closingCount == 0 { prober.postpone(at: now) }
        } else if slots.closingCount > 0 {
            prober.postpone(at: now)
        } else if let id = prober.oldestExpendable(at: now) {
            // `closed` starts the next probe, as above.
            prober.remove(id)
            close(id, .hung, at: now)
        } else if slots.hasFree || !makeRoom(at: now) {
            prober.postpone(at: now)
        }
    }

    /// Closes a connection of unknown liveness to free a slot for a probe; `closed` then starts it. The number of
    /// sockets never exceeds the maximum, not even now.
    private mutating func makeRoom(at now: MonotonicTime) -> Bool {
        let silent = slots.ids(in: .leased).filter { slots.slot($0)?.canBeAbandoned ?? false }
        let longestSilent = silent.min { since($0) < since($1) }
        // A resetting connection holds its slot until the server has ended the statement; finding the database matters
        // more.
        let candidates = [slots.ids(in: .checking).first, longestSilent, slots.ids(in: .resetting).first]
        if makingRoom != nil { return true }
        guard let victim = candidates.compactMap({ $0 }).first else { return false }
        makingRoom = victim
        close(victim, .madeRoom, at: now)
        return true
    }

    // MARK: Retiring and draining

    /// Replaces every connection, because it may lead to the wrong server: closes idle ones now, leased ones at
    /// check-in.
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

    /// Refuses further requests. Leased connections may be released until the deadline.
    mutating func drain(at now: MonotonicTime, deadline: MonotonicTime) {
        switch state {
        case .draining, .closed: return
        default: break
        }
        prober.stop()
        doubt = nil
        move(to: .draining(until: deadline), at: now)
        failWaiters(at: now)
        for state in [SlotState.idle, .checking, .connecting] {
            for id in slots.ids(in: state) { close(id, .drained, at: now) }
        }
        finishDraining(at: now)
    }

    mutating func finishDraining(at now: MonotonicTime) {
        if state.isDraining, slots.usedCount == 0 { move(to: .closed, at: now) }
    }
}
