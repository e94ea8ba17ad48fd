package import DispatchLoop
package import DispatchPostgres
internal import PostgresSession

/// The history on the status page: the database and `/ping` second by second, and the last outages.
///
/// A value of a fixed size (about 50 KB) that takes the time as an argument. It needs no timer: the next event or
/// request fills in the seconds without events.
package struct StatusHistory: Sendable {
    /// The number of seconds kept: fifteen minutes.
    package static let window = 900
    /// The number of past outages kept.
    package static let outagesKept = 12

    package struct Second: Sendable, Hashable {
        /// The number of the second since the start of the service.
        package var number: Int
        /// The worst state of the database in this second.
        package var health: DatabaseState
        /// The number of `/ping` answers.
        package var pings = 0
        /// The number of failures among them.
        package var failures = 0
        /// The median duration, in microseconds.
        package var median = 0
        /// The longest duration, in microseconds.
        package var slowest = 0
    }

    /// An outage that has ended.
    package struct PastOutage: Sendable, Hashable {
        /// The time of the first sign, since the start of the service.
        package var since: Duration
        package var length: Duration
        /// Its worst state.
        package var health: DatabaseState
        /// The cause at the first failed request: later causes belong to the recovery. Never its
        /// ``PostgresError/endpoint``.
        package var code: String
        package var message: String
        package var failedAttempts: Int
    }

    /// The interruptions that ended within the grace: requests waited, and none failed.
    package struct MaskedInterruptions: Sendable {
        package var count = 0
        /// When the latest one started, since the start of the service, and its length.
        package var latest: (since: Duration, length: Duration)?
    }

    package let start: MonotonicTime
    package private(set) var health: DatabaseState
    /// The latest outages in which requests failed, newest first.
    package private(set) var outages: [PastOutage] = []
    package private(set) var masked = MaskedInterruptions()
    /// The start of the current state.
    package private(set) var healthSince: MonotonicTime
    /// The number of outages in which requests failed, since the start.
    package private(set) var outageCount = 0

    private var seconds: [Second]
    /// The number of the current second, whose median is not computed yet.
    private var current = 0
    private var latencies = LatencyHistogram()
    /// The worst state of the current outage.
    private var worstOfOutage = DatabaseState.up
    /// Its cause at the first failed request.
    private var causeOfOutage: PostgresError?
    /// Whether the service has ever been connected.
    package private(set) var hasBeenUp = false

    package init(start: MonotonicTime) {
        self.start = start
        health = .suspect
        healthSince = start
        seconds = Array(repeating: Second(number: -1, health: .suspect), count: Self.window)
        seconds[0].number = 0
    }

    // MARK: Events

    /// The pool's state changed. `outage` is the current one, or the one that has just ended.
    package mutating func healthChanged(to next: DatabaseState, outage: Outage?, at now: MonotonicTime) {
        advance(to: now)
        if next.failsAtOnce, !worstOfOutage.failsAtOnce {
            outageCount += 1
            causeOfOutage = outage?.cause
        }
        health = next
        healthSince = now
        let slot = current % Self.window
        seconds[slot].health = max(seconds[slot].health, next, by: Self.severity)
        worstOfOutage = max(worstOfOutage, next, by: Self.severity)
        guard next == .up else { return }
        if let outage { end(outage, at: now) }
        worstOfOutage = .up
        hasBeenUp = true
    }

    private mutating func end(_ outage: Outage, at now: MonotonicTime) {
        let length = now - outage.since
        guard worstOfOutage.failsAtOnce else {
            // The first connect is not an interruption.
            if hasBeenUp {
                masked.count += 1
                masked.latest = (since(outage), length)
            }
            return
        }
        if outages.count == Self.outagesKept { outages.removeLast() }
        let cause = causeOfOutage ?? outage.cause
        outages.insert(
            PastOutage(
                since: since(outage), length: length, health: worstOfOutage, code: cause.code, message: cause.message,
                failedAttempts: outage.failedAttempts),
            at: 0)
    }

    private func since(_ outage: Outage) -> Duration { max(outage.since - start, .zero) }

    /// Records an answer of `/ping`.
    package mutating func pinged(afterNanoseconds nanoseconds: Int64, failed: Bool, at now: MonotonicTime) {
        advance(to: now)
        let microseconds = Int(nanoseconds / 1_000)
        latencies.add(microseconds: microseconds)
        let slot = current % Self.window
        seconds[slot].pings += 1
        if failed { seconds[slot].failures += 1 }
        seconds[slot].slowest = max(seconds[slot].slowest, microseconds)
    }

    /// Completes the seconds up to `now`.
    package mutating func advance(to now: MonotonicTime) {
        let latest = Int((now.nanoseconds - start.nanoseconds) / 1_000_000_000)
        guard latest > current else { return }
        seconds[current % Self.window].median = median
        latencies.reset()
        // After a long pause, fill in only the window.
        for number in max(current + 1, latest - Self.window + 1)...latest {
            seconds[number % Self.window] = Second(number: number, health: health)
        }
        current = latest
    }

    // MARK: Content

    /// The number of the current second, as of the latest event.
    package var currentSecond: Int { current }

    /// The kept seconds from `first` on, oldest first. The last one is not complete.
    package func seconds(from first: Int = 0) -> [Second] {
        let oldest = max(first, current - Self.window + 1, 0)
        guard oldest <= current else { return [] }
        return (oldest...current).map { number in
            var second = seconds[number % Self.window]
            if number == current { second.median = median }
            return second
        }
    }

    /// The median is inexact, but never above the slowest.
    private var median: Int { min(latencies.median, seconds[current % Self.window].slowest) }

    private static func severity(_ health: DatabaseState) -> Int {
        switch health {
        case .up: 0
        case .closed: 1
        case .draining: 2
        case .suspect: 3
        case .readOnly: 4
        case .misconfigured: 5
        case .down: 6
        }
    }
}

private func max<Value>(_ values: Value..., by rank: (Value) -> Int) -> Value {
    values.dropFirst().reduce(values[0]) { rank($1) > rank($0) ? $1 : $0 }
}
