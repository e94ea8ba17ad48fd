import DispatchLoop

/// Who goes next, and how long a turn is.
extension ConnectRace {
    /// Addresses alternate between the families, the first one's first (RFC 8305 §4): that one of them has no way to the
    /// server must not use up the time of the other.
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

    /// The candidate to start next: those that had no turn yet, before them none of the second pass.
    func choose(at now: MonotonicTime, _ book: AddressBook) -> Int? {
        let waiting = candidates.indices.filter { candidates[$0].stage == .waiting }
        let others = waiting.filter { !book.isBeingTried(candidates[$0].target, stagger: limits.stagger, at: now) }
        // A further SYN to where one is under way is no help, unless nothing else is to be found out.
        let hasHope =
            hasBeenAnswered || others.contains { !book.isSilent(candidates[$0].target) } || isReached
            || !pending.isEmpty
        let eligible = hasHope ? others : waiting
        return eligible.min { rank(of: candidates[$0], book).lexicographicallyPrecedes(rank(of: candidates[$1], book)) }
    }

    private func rank(of candidate: Candidate, _ book: AddressBook) -> [Int] {
        let target = candidate.target
        // What was silent goes last even if it worked once: the network to it may be gone.
        let merit = book.isSilent(target) ? 3 : book.hasWrongRole(target) ? 2 : target == preferred ? 0 : 1
        // Of silent ones, who is tried by fewer others: any of them may be the first to come back.
        let crowd = merit == 3 ? book.unestablishedCount(target) : 0
        return [
            candidate.rounds, candidate.isSecondPass ? 1 : 0, merit, crowd, positions[target.server], candidate.order,
        ]
    }

    /// Whether all that is left are connects to addresses that are known to be silent, and others have said more: what
    /// refuses now may let in a moment later, which a fresh attempt finds out and this one does not.
    func isInVain(at now: MonotonicTime, _ book: AddressBook) -> Bool {
        hasBeenAnswered && pending.isEmpty && choose(at: now, book) == nil
            && openSockets.allSatisfy {
                $0.acceptedAt == nil && book.isSilent(target(of: $0)) && now - $0.openedAt >= AddressBook.synLife
            }
    }

    /// Whether the first start is put off, for a moment (RFC 8305 §3), because the look-up of a name that is to go before
    /// this candidate is not done.
    func isHeldUp(_ next: Int, at now: MonotonicTime) -> Bool {
        guard now < startedAt + limits.stagger else { return false }
        let target = candidates[next].target
        return pending.contains { server in
            if isShuffled || server == preferred?.server { return target != preferred }
            return target != preferred && positions[server] < positions[target.server]
        }
    }

    /// How long to wait for a server to accept before the next address is tried as well: at least as long as this one
    /// usually takes. Where that would leave no time for the others, their share.
    func patience(with candidate: Candidate, at now: MonotonicTime, _ book: AddressBook) -> Duration {
        let usual = min(book.usualAccept(candidate.target) ?? .zero, AddressBook.synLife)
        let patience = max(limits.stagger, usual) * (1 << min(candidate.rounds, 5))
        return untriedCount == 0 ? patience : min(patience, max(share(at: now), Self.shortestTurn))
    }

    /// The same for a server that has accepted: when the next may be started beside it, and when in its place.
    func turn(of flight: OpenSocket, at now: MonotonicTime, _ book: AddressBook) -> (
        dueAt: MonotonicTime, keepsUntil: MonotonicTime
    ) {
        let usual = min(book.usualLogin(target(of: flight)) ?? .zero, (limits.reachDeadline - now) / 2)
        // The second best is in no hurry.
        let least = prefersStandby && !candidates[flight.candidate].isSecondPass ? Self.establishedTurn : limits.stagger
        return (now + max(least, usual), now + max(Self.establishedTurn, usual, share(at: now)))
    }

    private var untriedCount: Int { candidates.count { $0.stage == .waiting && $0.rounds == 0 } }

    /// What is left of the time, divided by those who have had no turn yet, and the one whose turn it is.
    private func share(at now: MonotonicTime) -> Duration {
        (limits.reachDeadline - now) / max(untriedCount + 1, 1)
    }
}
