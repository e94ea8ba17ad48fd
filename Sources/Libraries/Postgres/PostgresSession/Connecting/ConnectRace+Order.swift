import DispatchLoop

/// The order of addresses, and the length of their turns.
extension ConnectRace {
    /// Alternates between the address families, beginning with the first address's (RFC 8305 §4), so that a family
    /// without a route cannot use up the time.
    static func interleaved(_ targets: [ConnectTarget]) -> [ConnectTarget] {
        guard let first = targets.first else { return [] }
        let lead = targets.filter { $0.isIPv6 == first.isIPv6 }
        let others = targets.filter { $0.isIPv6 != first.isIPv6 }
        var result: [ConnectTarget] = []
        for index in 0..<max(lead.count, others.count) {
            if index < lead.count { result.append(lead[index]) }
            if index < others.count { result.append(others[index]) }
        }
        return result
    }

    /// The index of the next candidate to start, if there is one.
    func choose(at now: MonotonicTime, _ book: AddressBook) -> Int? {
        let waiting = candidates.indices.filter { candidates[$0].stage == .waiting }
        let others = waiting.filter { !book.isBeingTried(candidates[$0].target, stagger: limits.stagger, at: now) }
        // Another SYN to an address that is being tried is useful only if nothing else can be learned.
        let hasHope =
            hasBeenAnswered || others.contains { !book.isSilent(candidates[$0].target) } || isReached
            || !pending.isEmpty
        let eligible = hasHope ? others : waiting
        return eligible.min { rank(of: candidates[$0], book).lexicographicallyPrecedes(rank(of: candidates[$1], book)) }
    }

    private func rank(of candidate: Candidate, _ book: AddressBook) -> [Int] {
        let target = candidate.target
        // A silent address goes last even if it was the latest winner: the route to it may be gone.
        let merit = book.isSilent(target) ? 3 : book.hasWrongRole(target) ? 2 : target == preferred ? 0 : 1
        // Of silent ones, the one with fewest attempts first: any of them may be the first to recover.
        let crowd = merit == 3 ? book.unestablishedCount(target) + book.unansweredCount(target) : 0
        return [
            candidate.rounds, candidate.isSecondPass ? 1 : 0, merit, crowd, positions[target.server], candidate.order,
        ]
    }

    /// When the next address may start beside the open sockets.
    func dueAt(of next: Candidate, _ book: AddressBook) -> MonotonicTime {
        // A primary is tried only after the standbys had a full turn.
        let standbys = openSockets.filter {
            !candidates[$0.candidate].isSecondPass && $0.acceptedAt != nil && !book.isMute(target(of: $0))
        }
        if next.isSecondPass, let end = standbys.map(\.fullTurnEnd).max() { return end }
        return startsAtOnce ? startedAt : openSockets.map(\.dueAt).max() ?? startedAt
    }

    /// Whether the first start waits briefly (RFC 8305 §3) for the look-up of a name that ranks before this candidate.
    func isHeldUp(_ next: Int, at now: MonotonicTime) -> Bool {
        guard now < startedAt + limits.stagger else { return false }
        let target = candidates[next].target
        return pending.contains { server in
            if isShuffled || server == preferred?.server { return target != preferred }
            return target != preferred && positions[server] < positions[target.server]
        }
    }

    /// The wait for an accept before the next address is tried as well (RFC 8305 §5, Connection Attempt Delay): at
    /// least this address's usual time, at most its share of the time left.
    func attemptDelay(for candidate: Candidate, at now: MonotonicTime, _ book: AddressBook) -> Duration {
        let usual = min(book.usualAccept(candidate.target) ?? .zero, AddressBook.synLife)
        let delay = max(limits.stagger, usual) * (1 << min(candidate.rounds, 5))
        return untriedCount == 0 ? delay : min(delay, max(share(at: now), Self.shortestTurn))
    }

    /// The same for a server that has accepted: when the next address may start beside it, when its full turn ends, and
    /// when the next address replaces it.
    func turn(of socket: OpenSocket, at now: MonotonicTime, _ book: AddressBook) -> (
        dueAt: MonotonicTime, fullEnd: MonotonicTime, keepsUntil: MonotonicTime
    ) {
        let usual = min(book.usualLogin(target(of: socket)) ?? .zero, (limits.reachDeadline - now) / 2)
        let full = max(Self.establishedTurn, usual)
        return (now + max(limits.stagger, usual), now + full, now + max(full, share(at: now)))
    }

    private var untriedCount: Int { candidates.count { $0.stage == .waiting && $0.rounds == 0 } }

    /// The time left, divided among the untried addresses and the current one.
    private func share(at now: MonotonicTime) -> Duration {
        (limits.reachDeadline - now) / max(untriedCount + 1, 1)
    }
}
