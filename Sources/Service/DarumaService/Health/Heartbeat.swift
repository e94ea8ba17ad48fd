package import DispatchLoop

/// Whether the event loop runs on time: the value behind `/livez`.
///
/// A timer of the loop beats every ``interval``. One late beat is not a failure: a process that was halted (SIGSTOP, a
/// paused virtual machine, a machine in swap) has one when it continues, and a restart would then kill a service that
/// has just recovered, or all services of a paused host at once. The loop is unhealthy
///
/// - after ``maxLateBeats`` beats in a row later than ``limit``, until one is on time: something keeps blocking the
///   loop;
/// - if a beat is overdue by more than ``limit`` and already was overdue in an earlier round: the loop runs, but not
///   its timers.
///
/// A loop that does not run at all answers no probe, which is a failure too.
package struct Heartbeat: Sendable {
    /// The number of late beats in a row that counts as a failure.
    package static let maxLateBeats = 3
    /// How long to report a stall after its end.
    package static let reportFor = Duration.seconds(60)

    /// A period without a beat.
    package struct Stall: Sendable, Hashable {
        /// The delay of the beat.
        package let length: Duration
        /// The time of the beat.
        package let end: MonotonicTime
    }

    package let interval: Duration
    package let limit: Duration
    /// The due time of the next beat.
    package private(set) var due: MonotonicTime
    /// The latest beat that was later than ``limit``.
    package private(set) var latestStall: Stall?
    private var lateInARow = 0
    /// The time of the first round that saw the overdue beat.
    private var overdueSeen: MonotonicTime?

    /// - Parameter limit: how late a beat may be.
    package init(limit: Duration, at now: MonotonicTime) {
        self.limit = limit
        interval = min(.seconds(1), limit / 2)
        due = now + interval
    }

    /// Records a beat. Returns the stall that it ends, if it is later than ``limit``.
    package mutating func beat(at now: MonotonicTime) -> Stall? {
        let lateness = now - due
        // From now, so that missed beats are not repeated.
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

    /// Whether the loop runs on time. `now` is the time of the loop's round, the same for all probes in it.
    package mutating func isHealthy(at now: MonotonicTime) -> Bool {
        if lateInARow >= Self.maxLateBeats { return false }
        guard now - due > limit else { return true }
        // The loop serves sockets before timers: in the first round after a halt, probes precede the beat.
        guard let overdueSeen else {
            self.overdueSeen = now
            return true
        }
        return overdueSeen == now
    }

    /// The current stall, or the latest one if it ended recently.
    package func stall(at now: MonotonicTime) -> Stall? {
        if now - due > limit { return Stall(length: now - due, end: now) }
        return latestStall.flatMap { now - $0.end <= Self.reportFor ? $0 : nil }
    }
}
