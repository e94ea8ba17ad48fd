import DispatchLoop

/// How many connects may be under way at once: one after an outage, and one more with each success. When all that were
/// allowed succeed, that is 1, 2, 4 and so on, as in TCP's slow start.
struct SlowStart: Sendable, Hashable {
    private(set) var limit = 1
    /// No growth before this: a connect failed although other connections work.
    private(set) var blockedUntil = MonotonicTime(nanoseconds: .min)
    private(set) var hasFailed = false
    private var backoff = Backoff()

    mutating func connected() {
        limit = min(limit + 1, 1 << 16)
    }

    /// A new connection has answered a query: whatever failed before is over.
    mutating func answered() {
        guard hasFailed else { return }
        backoff.reset()
        hasFailed = false
        blockedUntil = MonotonicTime(nanoseconds: .min)
    }

    /// No growth before `time`. A connect that may well fail is as rare as a probe.
    mutating func hold(until time: MonotonicTime) {
        blockedUntil = max(blockedUntil, time)
    }

    /// One at a time again. What has failed goes on to count until a new connection answers a query.
    mutating func restart() { limit = 1 }

    /// A connect has failed, and had opened so many sockets. Returns whether this is the first failure in a row.
    mutating func failed(
        sockets: Int = 1, at now: MonotonicTime, isSlow: Bool, using random: inout some RandomNumberGenerator
    ) -> Bool {
        let wait = isSlow ? Prober.slowInterval : backoff.next(using: &random)
        blockedUntil = now + wait * max(sockets, 1)
        limit = 1
        defer { hasFailed = true }
        return !hasFailed
    }
}
