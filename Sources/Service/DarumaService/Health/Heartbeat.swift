package import DispatchLoop

/// Whether the event loop keeps its own time: the value behind `/livez`.
///
/// A timer of the loop beats every ``interval``. What matters is not how old the latest beat is but whether beats keep
/// coming late. After the process was halted (SIGSTOP, a paused virtual machine, a machine in swap) the loop turns again
/// and finds one beat late; whoever restarted it for that would kill a service that has just come back, and all of them
/// at once where a host was paused. So the loop is not well
///
/// - when ``maxLateBeats`` beats in a row were later than ``limit``, until one is on time: something holds the loop up again
///   and again;
/// - when a beat is overdue by more than ``limit`` and was so in an earlier turn of the loop already: it turns, and its
///   timers do not fire.
///
/// A loop that does not turn at all answers nothing, which every prober takes for a failure.
package struct Heartbeat: Sendable {
    /// How many beats in a row have to be late.
    package static let maxLateBeats = 3
    /// For how long a stall that is over is told of.
    package static let reportFor = Duration.seconds(60)

    /// A time in which the loop did not beat.
    package struct Stall: Sendable, Hashable {
        /// By how much the beat was late.
        package let length: Duration
        /// When the beat came.
        package let end: MonotonicTime
    }

    package let interval: Duration
    package let limit: Duration
    /// When the next beat is due.
    package private(set) var due: MonotonicTime
    /// The latest beat that was later than ``limit``.
    package private(set) var latestStall: Stall?
    private var lateInARow = 0
    /// The turn in which an overdue beat was first seen to be overdue.
    private var overdueSeen: MonotonicTime?

    /// A heartbeat that begins now.
    ///
    /// - Parameter limit: how late a beat may be.
    package init(limit: Duration, at now: MonotonicTime) {
        self.limit = limit
        interval = min(.seconds(1), limit / 2)
        due = now + interval
    }

    /// The loop has beaten. Returns the stall that this ends, if it was later than ``limit``.
    package mutating func beat(at now: MonotonicTime) -> Stall? {
        let lateness = now - due
        // Counted from now: beats that were missed are not made up for.
        due = now + interval
        overdueSeen = nil
        guard lateness > limit else {
            lateInARow = 0
            return nil
        }
        lateInARow += 1
        let stall = Stall(length: lateness, end: now)
        latestStall = stall
        return stall
    }

    /// Whether the loop is well. `now` is the time of the loop's turn, the same for all who ask within one.
    package mutating func isHealthy(at now: MonotonicTime) -> Bool {
        if lateInARow >= Self.maxLateBeats { return false }
        guard now - due > limit else { return true }
        // Sockets are served before timers: the first turn after a halt comes here before its beat.
        guard let overdueSeen else {
            self.overdueSeen = now
            return true
        }
        return overdueSeen == now
    }

    /// The stall to tell of: the one that the loop is coming out of, or the latest one that is not long over.
    package func stall(at now: MonotonicTime) -> Stall? {
        if now - due > limit { return Stall(length: now - due, end: now) }
        return latestStall.flatMap { now - $0.end <= Self.reportFor ? $0 : nil }
    }
}
