package import DispatchLoop
package import DispatchPostgres
internal import PostgresSession

/// What the status page remembers: second by second how the database was and how `/ping` fared, and the last outages.
///
/// A value that takes the time as an argument, in memory of a fixed size (some 50 KB). It is fed by what happens, and
/// needs no timer: seconds in which nothing happened are filled in when something does, or when somebody looks.
package struct StatusHistory: Sendable {
    /// How many seconds are kept: fifteen minutes.
    package static let window = 900
    /// How many past outages are kept.
    package static let outagesKept = 12

    /// One second, as it is shown.
    package struct Second: Sendable, Hashable {
        /// Counted from the start of the service.
        package var number: Int
        /// The worst that was known of the database in this second.
        package var health: DatabaseState
        /// How often `/ping` was answered.
        package var pings = 0
        /// How many of those answers were failures.
        package var failures = 0
        /// The middle answer's duration in microseconds.
        package var median = 0
        /// The slowest answer's duration in microseconds.
        package var slowest = 0
    }

    /// An outage that is over.
    package struct PastOutage: Sendable, Hashable {
        /// When its first sign was seen, since the start of the service.
        package var since: Duration
        package var length: Duration
        /// The worst that it was.
        package var health: DatabaseState
        /// The cause when requests were first told: what came after it is the recovery's. Never its
        /// ``PostgresError/endpoint``.
        package var code: String
        package var message: String
        package var failedAttempts: Int
    }

    /// Interruptions since the start that ended within the grace: requests waited, none was told.
    package struct Bridged: Sendable, Hashable {
        package var count = 0
        /// When the latest began, since the start of the service, and how long it lasted.
        package var latest: (since: Duration, length: Duration)?

        package static func == (left: Bridged, right: Bridged) -> Bool { left.count == right.count }
        package func hash(into hasher: inout Hasher) { hasher.combine(count) }
    }

    /// When the service started.
    package let start: MonotonicTime
    /// What is known of the database now.
    package private(set) var health: DatabaseState
    /// The latest outages that requests were told of, newest first.
    package private(set) var outages: [PastOutage] = []
    package private(set) var bridged = Bridged()
    /// When the present health began.
    package private(set) var healthSince: MonotonicTime
    /// How often requests had to be told that there is no database: the beginnings of outages since the start.
    package private(set) var falls = 0

    private var seconds: [Second]
    /// The second that is being filled; its median is not made yet.
    private var current = 0
    private var latencies = LatencyHistogram()
    /// The worst of the outage that goes on.
    private var worstOfOutage = DatabaseState.up
    /// Its cause when requests were first told.
    private var causeOfOutage: PostgresError?
    /// Whether the database has ever been reached.
    package private(set) var hasBeenUp = false

    /// Nothing is known yet: the pool is about to look for its database.
    package init(start: MonotonicTime) {
        self.start = start
        health = .suspect
        healthSince = start
        seconds = Array(repeating: Second(number: -1, health: .suspect), count: Self.window)
        seconds[0].number = 0
    }

    // MARK: What happens

    /// The pool's health changed. `outage` is the one that begins, goes on or has just ended.
    package mutating func healthChanged(to next: DatabaseState, outage: Outage?, at now: MonotonicTime) {
        advance(to: now)
        if next.failsAtOnce, !worstOfOutage.failsAtOnce {
            falls += 1
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
            // Looking for the database at the start is no interruption of anything.
            if hasBeenUp {
                bridged.count += 1
                bridged.latest = (since(outage), length)
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

    /// `/ping` was answered.
    package mutating func pinged(afterNanoseconds nanoseconds: Int64, failed: Bool, at now: MonotonicTime) {
        advance(to: now)
        let microseconds = Int(nanoseconds / 1_000)
        latencies.add(microseconds: microseconds)
        let slot = current % Self.window
        seconds[slot].pings += 1
        if failed { seconds[slot].failures += 1 }
        seconds[slot].slowest = max(seconds[slot].slowest, microseconds)
    }

    /// Closes the seconds that have passed.
    package mutating func advance(to now: MonotonicTime) {
        let latest = Int((now.nanoseconds - start.nanoseconds) / 1_000_000_000)
        guard latest > current else { return }
        seconds[current % Self.window].median = median
        latencies.reset()
        // After a long silence only what is still shown is filled in.
        for number in max(current + 1, latest - Self.window + 1)...latest {
            seconds[number % Self.window] = Second(number: number, health: health)
        }
        current = latest
    }

    // MARK: What is shown

    /// The number of the second that goes on, as of the latest event.
    package var currentSecond: Int { current }

    /// The seconds from `first` on that are still kept, oldest first; the last one is still going on.
    package func seconds(from first: Int = 0) -> [Second] {
        let oldest = max(first, current - Self.window + 1, 0)
        guard oldest <= current else { return [] }
        return (oldest...current).map { number in
            var second = seconds[number % Self.window]
            if number == current { second.median = median }
            return second
        }
    }

    /// A median lies in its bucket somewhere; never above the slowest.
    private var median: Int { min(latencies.median, seconds[current % Self.window].slowest) }

    /// Which of two is the worse to see.
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
