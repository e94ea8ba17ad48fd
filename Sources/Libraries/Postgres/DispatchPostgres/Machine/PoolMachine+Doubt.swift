import DispatchLoop
import PostgresSession

/// The time between a query's unusual silence and a suspicion. A slow database is silent too; until it is clear that this
/// one does not answer at all, nothing is taken away from anybody, and nothing is reported.
struct Doubt: Sendable, Hashable {
    /// When the silence was noticed.
    let since: MonotonicTime
    /// When a connection is given up, if there is no other way to open a fresh one for those who may be hedged.
    var roomAt: MonotonicTime
    /// When the doubt becomes a suspicion.
    let suspectAt: MonotonicTime
    /// A connection has made room for a fresh one.
    var wantsConnect = false

    var nextAt: MonotonicTime { min(roomAt, suspectAt) }
}

/// Silence, and what is done about it.
///
/// ```
///   a query is silent for longer than usual
///     ├─ the way is dead (sent again, not acknowledged) ─────▶ hedge at once; suspect, unless others have been heard
///     ├─ others have been heard meanwhile ───────────────────▶ hedge, within the budget, if they were asked later
///     └─ nobody has been heard ─▶ doubt: one idle connection is asked, a fresh one is opened
///          ├─ one of them answers as usual ──────────────────▶ hedge, within the budget
///          ├─ anything is heard, late ───────────────────────▶ slow, not down
///          └─ nothing is heard for ``doubtPatience`` ────────▶ suspect
/// ```
extension PoolMachine {
    /// Silence of this length, from what was accepted, is more than slowness: what answers within 900 ms is not down.
    static let stall = Duration.milliseconds(950)
    /// How long a doubt lasts before a connection is given up for a fresh one, where all slots are taken: what answers within
    /// 900 ms has answered by then, and those who are hedged still have a little of the usual second.
    static let roomPatience = Duration.milliseconds(610)
    /// How long a doubt lasts before it is a suspicion. With the floor of ``PoolSettings/silenceTimeout`` this makes ``stall``.
    static let doubtPatience = Duration.milliseconds(650)

    /// A leased connection has been silent for longer than ``silenceLimit``.
    ///
    /// - Parameters:
    ///   - canBeAbandoned: its query is safe to repeat, and the one who leased it waits for another connection as well.
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
        let othersWereHeard = latestReply > now.advanced(byNanoseconds: -silenceLimit)
        switch health {
        case .up where path == .lost:
            // With every slot at work on queries that nobody wants to lose, nothing can be found out.
            if !othersWereHeard, canFindOut(canBeAbandoned) { becomeSuspect(Self.silenceCause, at: now) }
        case .up where othersWereHeard:
            if latestQuickQuestion >= since(id) { hedge(id, at: now) }
            return
        case .up:
            if doubt == nil, canFindOut(canBeAbandoned) { beginDoubt(at: now) }
            return
        case .suspect, .down, .misconfigured, .readOnly: runProber(at: now)
        case .draining, .closed: return
        }
        if path == .lost { hedge(id, isFree: true, at: now) }
    }

    private func canFindOut(_ canBeAbandoned: Bool) -> Bool {
        slots.hasFree || !slots.idle.isEmpty || canBeAbandoned
    }

    private mutating func beginDoubt(at now: MonotonicTime) {
        // The coldest, and only of several: whoever comes next must not have to wait for a slow answer to a check.
        let asked = slots.idle.count > 2 ? slots.idle.first : nil
        doubt = Doubt(
            since: now, roomAt: now + Self.roomPatience, suspectAt: now + Self.doubtPatience,
            wantsConnect: asked == nil || hasCandidates(at: now))
        if let asked { beginCheck(slots.id(at: asked), at: now) }
        soundOutDoubt(at: now)
    }

    /// A statement ran into its deadline, and its slot is taken until the server lets go. Where all slots are, and nobody has
    /// been heard since it began, nothing else would find out that the server is stuck. (One that is not ends the statement,
    /// and the doubt with it.)
    mutating func doubtAfterDeadline(of slot: Slot, at now: MonotonicTime) {
        guard health == .up, doubt == nil, latestReply <= slot.since, !slots.hasFree, slots.idle.isEmpty else { return }
        doubt = Doubt(since: now, roomAt: .distantFuture, suspectAt: now + Self.doubtPatience)
    }

    /// Opens the connection that the doubt asks for, where a slot is free and nothing is under way.
    mutating func soundOutDoubt(at now: MonotonicTime) {
        guard doubt?.wantsConnect == true else { return }
        if slots.connectingCount > 0 {
            doubt?.wantsConnect = false
        } else if slots.hasFree, now >= slowStart.blockedUntil {
            doubt?.wantsConnect = false
            beginConnect(at: now)
        }
    }

    /// What passes with time while there is a doubt.
    mutating func superviseDoubt(at now: MonotonicTime) {
        guard let doubt else { return }
        if now >= doubt.suspectAt { return becomeSuspect(Self.silenceCause, since: doubt.since, at: now) }
        guard now >= doubt.roomAt else { return }
        self.doubt?.roomAt = .distantFuture
        guard hasCandidates(at: now), !slots.hasFree, slots.connectingCount == 0, slots.closingCount == 0,
            hedges.allows(at: now)
        else { return }
        // An idle one that nobody has asked, before anybody's query.
        let silent = slots.ids(in: .leased).filter { slots.slot($0)?.canBeAbandoned ?? false }
        let victim = slots.idle.first.map(slots.id(at:)) ?? silent.min { since($0) < since($1) }
        guard let victim else { return }
        self.doubt?.wantsConnect = true
        close(victim, .madeRoom, at: now)
    }

    // MARK: Hedging

    /// Whether a query may be hedged. Where the usual answer would come too late for it, a hedge would only take a
    /// connection from somebody else: at 900 ms, two hedges of 600 queries made one of the others late.
    private func isCandidate(_ slot: Slot, at now: MonotonicTime) -> Bool {
        slot.canBeAbandoned && !slot.isHedged && now.advanced(byNanoseconds: answers.mean) <= slot.answerBy
    }

    private func hasCandidates(at now: MonotonicTime) -> Bool { slots.slots.contains { isCandidate($0, at: now) } }

    /// Another session has answered as quickly as usual: what is silent all the while may be dead for itself.
    mutating func hedgeSilent(butFor id: ConnectionID, at now: MonotonicTime) {
        guard slots.silentCount > 0 else { return }
        let unusual = now.advanced(byNanoseconds: -silenceLimit)
        let candidates = slots.ids(in: .leased).filter { candidate in
            guard candidate != id, let slot = slots.slot(candidate) else { return false }
            // What was answered was asked later than what is silent: before that, both may have met a slow server.
            guard slot.since <= latestQuickQuestion else { return false }
            // What is usual may have become more since its silence was noticed.
            return isCandidate(slot, at: now) && slot.since <= unusual
        }
        guard !candidates.isEmpty else { return }
        // Nobody is to be sent from one dead connection to the next. On a slow database the checks would take as long as a query,
        // and everybody's spare connections with them.
        if let doubt, silenceLimit <= silenceFloor {
            for index in slots.idle where slots.slots[index].lastReplyAt < doubt.since {
                beginCheck(slots.id(at: index), at: now)
            }
        }
        for candidate in candidates { hedge(candidate, at: now) }
    }

    /// `isFree`: the session's way is dead, so the query does not run twice.
    private mutating func hedge(_ id: ConnectionID, isFree: Bool = false, at now: MonotonicTime) {
        guard let slot = slots.slot(id), slot.canBeAbandoned, !slot.isHedged else { return }
        guard isFree || isCandidate(slot, at: now) && hedges.take(at: now) else { return }
        slots.update(id) { $0.isHedged = true }
        actions.append(.hedge(id))
        actions.append(.report(.hedged))
    }

    /// An idle connection did not answer the empty query in time.
    mutating func checkExpired(at now: MonotonicTime) {
        guard health == .up, latestReply < now.advanced(byNanoseconds: -silenceLimit) else { return }
        becomeSuspect(Self.silenceCause, since: doubt?.since, at: now)
    }
}
