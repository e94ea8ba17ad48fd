import DispatchLoop
import PostgresSession

/// The time between a query's unusual silence and suspicion. A slow database is silent too. Until the pool knows that
/// this one does not answer at all, it closes no used connection and reports nothing.
struct Doubt: Sendable, Hashable {
    /// When the silence was noticed.
    let since: MonotonicTime
    /// When the pool closes a connection if that is the only way to open a new one for a hedge.
    var roomAt: MonotonicTime
    /// When the doubt becomes a suspicion.
    let suspectAt: MonotonicTime
    /// Whether to open a new connection when a slot is free.
    var wantsConnect = false

    var nextAt: MonotonicTime { min(roomAt, suspectAt) }
}

/// Handles silence.
///
/// ```
///   a query is silent for longer than usual
///     ├─ its path is dead (retransmitted, unacknowledged) ───▶ hedge at once; suspect, unless others have replied
///     ├─ others have replied meanwhile ──────────────────────▶ hedge, within the budget, if they were asked later
///     └─ no reply ─▶ doubt: one idle connection is checked, a new one is opened
///          ├─ one of them replies as usual ──────────────────▶ hedge, within the budget
///          ├─ any late reply ────────────────────────────────▶ slow, not down
///          └─ no reply for ``doubtPatience`` ────────────────▶ suspect
/// ```
extension PoolMachine {
    /// Silence of this length on an accepted connection is more than slowness: a server that answers within 900 ms is
    /// up.
    static let stall = Duration.milliseconds(950)
    /// How long a doubt lasts before the pool closes a connection for a new one when all slots are taken: a server that
    /// answers within 900 ms has answered by then, and a hedged query still has a part of the usual second.
    static let roomPatience = Duration.milliseconds(610)
    /// How long a doubt lasts before the pool is suspect. With the floor of ``PoolSettings/silenceTimeout`` this adds
    /// up to ``stall``.
    static let doubtPatience = Duration.milliseconds(650)

    /// A leased connection has been silent for longer than ``silenceLimit``.
    ///
    /// - Parameters:
    ///   - canBeAbandoned: its query is safe to repeat, and can wait for another connection as well.
    ///   - answerBy: the query's deadline.
    mutating func silent(
        _ id: ConnectionID, canBeAbandoned: Bool, answerBy: MonotonicTime = .distantFuture,
        path: PostgresConnection.Path = .acknowledged, at now: MonotonicTime
    ) {
        guard slots.state(id) == .leased else { return }
        slots.update(id) {
            $0.isSilent = true
            $0.canBeAbandoned = canBeAbandoned
            $0.answerBy = answerBy
        }
        let othersReplied = latestReply > now.advanced(byNanoseconds: -silenceLimit)
        switch state {
        case .up where path == .lost:
            if !othersReplied, canTest(canBeAbandoned) { becomeSuspect(Self.silenceCause, at: now) }
        case .up where othersReplied:
            if latestQuickQuestion >= since(id) { hedge(id, at: now) }
            return
        case .up:
            if doubt == nil, canTest(canBeAbandoned) { beginDoubt(at: now) }
            return
        case .suspect, .down, .misconfigured, .readOnly: runProber(at: now)
        case .notStarted, .draining, .closed: return
        }
        if path == .lost { hedge(id, isFree: true, at: now) }
    }

    /// Whether the pool can test the database: not while every slot works on a query that must not be lost.
    private func canTest(_ canBeAbandoned: Bool) -> Bool {
        slots.hasFree || !slots.idle.isEmpty || canBeAbandoned
    }

    private mutating func beginDoubt(at now: MonotonicTime) {
        // Check the coldest, and only one of several, so that the next request need not wait for a slow check.
        let asked = slots.idle.count > 2 ? slots.idle.first : nil
        doubt = Doubt(
            since: now, roomAt: now + Self.roomPatience, suspectAt: now + Self.doubtPatience,
            wantsConnect: asked == nil || hasCandidates(at: now))
        if let asked { beginCheck(slots.id(at: asked), at: now) }
        soundOutDoubt(at: now)
    }

    /// A statement missed its deadline, and its slot is taken until the server has ended it. If all slots are taken and
    /// no reply came since it began, nothing else would notice a stuck server. (A server that is not stuck ends the
    /// statement, and the doubt with it.)
    mutating func doubtAfterDeadline(of slot: Slot, at now: MonotonicTime) {
        guard state.isUp, doubt == nil, latestReply <= slot.since, !slots.hasFree, slots.idle.isEmpty else { return }
        doubt = Doubt(since: now, roomAt: .distantFuture, suspectAt: now + Self.doubtPatience)
    }

    /// Opens the connection that the doubt asks for, if a slot is free and no connect is running.
    mutating func soundOutDoubt(at now: MonotonicTime) {
        guard doubt?.wantsConnect == true else { return }
        if slots.connectingCount > 0 {
            doubt?.wantsConnect = false
        } else if slots.hasFree, now >= slowStart.blockedUntil {
            doubt?.wantsConnect = false
            beginConnect(at: now)
        }
    }

    /// Handles the deadlines of a doubt.
    mutating func superviseDoubt(at now: MonotonicTime) {
        guard let doubt else { return }
        if now >= doubt.suspectAt { return becomeSuspect(Self.silenceCause, since: doubt.since, at: now) }
        guard now >= doubt.roomAt else { return }
        self.doubt?.roomAt = .distantFuture
        guard hasCandidates(at: now), !slots.hasFree, slots.connectingCount == 0, slots.closingCount == 0,
            hedges.allows(at: now)
        else { return }
        // Prefer an unchecked idle connection to a running query.
        let silent = slots.ids(in: .leased).filter { slots.slot($0)?.canBeAbandoned ?? false }
        let victim = slots.idle.first.map(slots.id(at:)) ?? silent.min { since($0) < since($1) }
        guard let victim else { return }
        self.doubt?.wantsConnect = true
        close(victim, .madeRoom, at: now)
    }

    // MARK: Hedging

    /// Whether a query may be hedged. If the usual answer would come too late, a hedge would only take a connection
    /// from another query: at 900 ms per answer, two hedges in 600 queries made one other query late.
    private func isCandidate(_ slot: Slot, at now: MonotonicTime) -> Bool {
        slot.canBeAbandoned && !slot.isHedged && now.advanced(byNanoseconds: answers.mean) <= slot.answerBy
    }

    private func hasCandidates(at now: MonotonicTime) -> Bool { slots.slots.contains { isCandidate($0, at: now) } }

    /// Another session has replied as quickly as usual: hedges the queries that stay silent, whose sessions may be
    /// dead.
    mutating func hedgeSilent(butFor id: ConnectionID, at now: MonotonicTime) {
        guard slots.silentCount > 0 else { return }
        let unusual = now.advanced(byNanoseconds: -silenceLimit)
        let candidates = slots.ids(in: .leased).filter { candidate in
            guard candidate != id, let slot = slots.slot(candidate) else { return false }
            // Only a query that began before the answered one: otherwise both may have met a slow server.
            guard slot.since <= latestQuickQuestion else { return false }
            // The usual time may have grown since the silence was noticed.
            return isCandidate(slot, at: now) && slot.since <= unusual
        }
        guard !candidates.isEmpty else { return }
        // Check the idle connections, so that the hedge does not move from one dead connection to the next. Not on a
        // slow database, where checks would occupy all spare connections for as long as a query.
        if let doubt, silenceLimit <= silenceFloor {
            for index in slots.idle where slots.slots[index].lastReplyAt < doubt.since {
                beginCheck(slots.id(at: index), at: now)
            }
        }
        for candidate in candidates { hedge(candidate, at: now) }
    }

    /// `isFree`: the session's path is dead, so the query does not run twice and costs no budget.
    private mutating func hedge(_ id: ConnectionID, isFree: Bool = false, at now: MonotonicTime) {
        guard let slot = slots.slot(id), slot.canBeAbandoned, !slot.isHedged else { return }
        guard isFree || isCandidate(slot, at: now) && hedges.take(at: now) else { return }
        slots.update(id) { $0.isHedged = true }
        actions.append(.hedge(id))
        actions.append(.report(.hedged))
    }

    /// An idle connection did not answer the empty query in time.
    mutating func checkExpired(at now: MonotonicTime) {
        guard state.isUp, latestReply < now.advanced(byNanoseconds: -silenceLimit) else { return }
        becomeSuspect(Self.silenceCause, since: doubt?.since, at: now)
    }
}
