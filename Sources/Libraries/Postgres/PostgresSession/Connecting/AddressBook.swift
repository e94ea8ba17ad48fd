import DispatchLoop

/// What earlier connects of one configuration learned about each address. A value, read and written by ``ConnectRace``.
struct AddressBook: Sendable {
    /// How long a SYN may still be answered. The kernel retransmits it after a second (RFC 6298 §2.1), when a new one
    /// is as good.
    static let synLife = Duration.seconds(1)
    /// Maximum addresses remembered, because a name's addresses may change daily.
    static let capacity = 64

    private struct Record {
        var accept = TimeEstimate()
        var login = TimeEstimate()
        /// The latest connect got its full turn and no answer.
        var isSilent = false
        /// Its machine accepts, and its server has sent nothing for a full turn: a frozen process, whose kernel goes on
        /// accepting. Until the server sends something.
        var isMute = false
        /// The server had the wrong role at the latest login.
        var hasWrongRole = false
        /// The start times of the connects that the server has not accepted yet.
        var unestablished: [MonotonicTime] = []
        /// The start times of those that it has accepted, and sent nothing to.
        var unanswered: [MonotonicTime] = []
        var latestStart = MonotonicTime(nanoseconds: 0)
    }

    private var records: [ConnectTarget: Record] = [:]
    /// The address of the latest login.
    private(set) var winner: ConnectTarget?
    /// Shuffles addresses.
    var random: SplitMix64

    init(seed: UInt64) { random = SplitMix64(seed: seed) }

    // MARK: Queries

    /// The number of addresses remembered.
    var count: Int { records.count }

    /// Upper bound of the usual time to accept; `nil` if the address never has.
    func usualAccept(_ target: ConnectTarget) -> Duration? { records[target]?.accept.limit }

    /// Upper bound of the usual time from accept to the end of the login; `nil` if there was none.
    func usualLogin(_ target: ConnectTarget) -> Duration? { records[target]?.login.limit }

    /// Whether the address does not accept, or accepts and sends nothing.
    func isSilent(_ target: ConnectTarget) -> Bool { records[target].map { $0.isSilent || $0.isMute } ?? false }

    /// Whether the address accepts and sends nothing.
    func isMute(_ target: ConnectTarget) -> Bool { records[target]?.isMute ?? false }

    /// Whether an older connect than this one waits for the server's first message.
    func hasOlderUnanswered(_ target: ConnectTarget, than openedAt: MonotonicTime) -> Bool {
        records[target]?.unanswered.contains { $0 < openedAt } ?? false
    }

    func hasWrongRole(_ target: ConnectTarget) -> Bool { records[target]?.hasWrongRole ?? false }

    /// The number of connects in flight that the address has not accepted.
    func unestablishedCount(_ target: ConnectTarget) -> Int { records[target]?.unestablished.count ?? 0 }

    /// The number of connects in flight that wait for a first message of the server.
    func unansweredCount(_ target: ConnectTarget) -> Int { records[target]?.unanswered.count ?? 0 }

    /// Whether another SYN would be redundant: one sent less than ``synLife`` ago has been unanswered for longer than
    /// `stagger`, or the address is silent and was tried less than ``synLife`` ago.
    func isBeingTried(_ target: ConnectTarget, stagger: Duration, at now: MonotonicTime) -> Bool {
        guard let record = records[target], now - record.latestStart < Self.synLife else { return false }
        return record.isSilent || record.isMute || record.unestablished.contains { now - $0 >= stagger }
    }

    // MARK: Updates

    mutating func opened(_ target: ConnectTarget, at now: MonotonicTime) {
        if records.count >= Self.capacity, records[target] == nil {
            records = records.filter {
                $0.key == winner || !$0.value.unestablished.isEmpty || !$0.value.unanswered.isEmpty
            }
        }
        records[target, default: Record()].unestablished.append(now)
        records[target]?.latestStart = now
    }

    /// The server's machine answered the SYN.
    mutating func accepted(_ target: ConnectTarget, openedAt: MonotonicTime, at now: MonotonicTime) {
        forget(target, openedAt)
        records[target]?.isSilent = false
        records[target]?.unanswered.append(openedAt)
        records[target]?.accept.add(now - openedAt)
    }

    /// The server sent something, or closed the connection itself.
    mutating func answered(_ target: ConnectTarget, openedAt: MonotonicTime) {
        endedUnanswered(target, openedAt: openedAt)
        records[target]?.isMute = false
    }

    /// An accepted connect is closed on this side before the server sent anything.
    mutating func endedUnanswered(_ target: ConnectTarget, openedAt: MonotonicTime) {
        guard let index = records[target]?.unanswered.firstIndex(of: openedAt) else { return }
        records[target]?.unanswered.remove(at: index)
    }

    /// The connect ended before an accept. `isSilent`: whether the address gave no answer; `nil` if the turn was too
    /// short to tell.
    mutating func connectEnded(_ target: ConnectTarget, openedAt: MonotonicTime, isSilent: Bool?) {
        forget(target, openedAt)
        if let isSilent { records[target]?.isSilent = isSilent }
    }

    /// The server accepted and then sent nothing for its whole turn.
    mutating func fellSilent(_ target: ConnectTarget) { records[target]?.isMute = true }

    /// A login succeeded.
    mutating func loggedIn(
        _ target: ConnectTarget, acceptedAt: MonotonicTime, isPreferredRole: Bool, at now: MonotonicTime
    ) {
        records[target]?.login.add(now - acceptedAt)
        records[target]?.hasWrongRole = !isPreferredRole
        // A server without the preferred role must not go first next time.
        winner = isPreferredRole ? target : nil
    }

    mutating func foundWrongRole(_ target: ConnectTarget) {
        records[target]?.hasWrongRole = true
        if winner == target { winner = nil }
    }

    private mutating func forget(_ target: ConnectTarget, _ openedAt: MonotonicTime) {
        guard let index = records[target]?.unestablished.firstIndex(of: openedAt) else { return }
        records[target]?.unestablished.remove(at: index)
    }
}

/// Smoothed mean and deviation of a duration, as in RFC 6298 §2 for round trips.
struct TimeEstimate: Sendable {
    /// A sample is capped at twice the limit, or at this if it is more: one outlier of a minute must not dominate the
    /// estimate, and a permanent slow-down is followed within a few samples.
    static let leastCap = Duration.milliseconds(250)

    private var values: (mean: Duration, deviation: Duration)?

    /// Mean + 4 × deviation, which is rarely exceeded. `nil` without a sample.
    var limit: Duration? { values.map { $0.mean + $0.deviation * 4 } }

    mutating func add(_ sample: Duration) {
        guard let (mean, deviation) = values else {
            values = (sample, sample / 2)
            return
        }
        let sample = min(sample, max((mean + deviation * 4) * 2, Self.leastCap))
        let difference = sample > mean ? sample - mean : mean - sample
        values = (mean * 7 / 8 + sample / 8, deviation * 3 / 4 + difference / 4)
    }
}
