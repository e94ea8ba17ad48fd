import DispatchLoop

/// Slow start, as in TCP (RFC 5681 §3.1): limits how many connects run at once. The limit is one after an outage and
/// grows by one with each success, so that it doubles (1, 2, 4 …) while all connects succeed.
struct SlowStart: Sendable, Hashable {
    private(set) var limit = 1
    /// No growth before this time: a connect failed although other connections work.
    private(set) var blockedUntil = MonotonicTime(nanoseconds: .min)
    private(set) var hasFailed = false
    private var backoff = Backoff()

    mutating func connected() {
        limit = min(limit + 1, 1 << 16)
    }

    /// A new connection has answered a query, which ends a series of failures.
    mutating func proved() {
        guard hasFailed else { return }
        backoff.reset()
        hasFailed = false
        blockedUntil = MonotonicTime(nanoseconds: .min)
    }

    /// No growth before `time`: a connect that may well fail must be as rare as a probe.
    mutating func hold(until time: MonotonicTime) {
        blockedUntil = max(blockedUntil, time)
    }

    /// Back to one at a time. Failures continue to count until a new connection answers a query.
    mutating func restart() { limit = 1 }

    /// A connect that had opened `sockets` sockets failed. Returns whether it is the first failure in a row.
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
