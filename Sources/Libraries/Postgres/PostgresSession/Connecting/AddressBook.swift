import DispatchLoop

/// What the connects of one pool have learned of the addresses they went to. A value; ``ConnectRace`` writes and reads it.
struct AddressBook: Sendable {
    /// For so long a SYN counts as one that may yet be answered: the kernel sends it again after a second (RFC 6298 §2.1),
    /// and a fresh one is as good then.
    static let synLife = Duration.seconds(1)
    /// Names may have other addresses each day; what is known of more than so many is forgotten.
    static let capacity = 64

    private struct Record {
        var accept = TimeEstimate()
        var letIn = TimeEstimate()
        /// The latest try that was given its time ended without an answer.
        var isSilent = false
        /// The latest server met there had the wrong role.
        var hasWrongRole = false
        /// When the connects that the server has not accepted yet were begun.
        var unestablished: [MonotonicTime] = []
        var latestStart = MonotonicTime(nanoseconds: 0)
    }

    private var records: [ConnectTarget: Record] = [:]
    /// What let somebody in last.
    private(set) var winner: ConnectTarget?
    /// For what is to be tried in no particular order.
    var random: SplitMix64

    init(seed: UInt64) { random = SplitMix64(seed: seed) }

    // MARK: What is asked

    /// How many addresses it knows something of.
    var count: Int { records.count }

    /// How long the address usually takes to accept at most; `nil` when it never has.
    func usualAccept(_ target: ConnectTarget) -> Duration? { records[target]?.accept.limit }

    /// How long it usually takes to let somebody in at most, from the moment it accepted; `nil` when it never has.
    func usualLogin(_ target: ConnectTarget) -> Duration? { records[target]?.letIn.limit }

    func isSilent(_ target: ConnectTarget) -> Bool { records[target]?.isSilent ?? false }

    func hasWrongRole(_ target: ConnectTarget) -> Bool { records[target]?.hasWrongRole ?? false }

    /// How many connects to the address are under way that it has not accepted.
    func unestablishedCount(_ target: ConnectTarget) -> Int { records[target]?.unestablished.count ?? 0 }

    /// Whether a further SYN would tell nothing new: one is under way that may yet be answered, to an address that has been
    /// silent for longer than `stagger`; or the latest went to an address that is known to be silent, a moment ago.
    func isBeingTried(_ target: ConnectTarget, stagger: Duration, at now: MonotonicTime) -> Bool {
        guard let record = records[target], now - record.latestStart < Self.synLife else { return false }
        return record.isSilent || record.unestablished.contains { now - $0 >= stagger }
    }

    // MARK: What is learned

    mutating func opened(_ target: ConnectTarget, at now: MonotonicTime) {
        if records.count >= Self.capacity, records[target] == nil {
            records = records.filter { $0.key == winner || !$0.value.unestablished.isEmpty }
        }
        records[target, default: Record()].unestablished.append(now)
        records[target]?.latestStart = now
    }

    /// The server's machine has answered the SYN.
    mutating func accepted(_ target: ConnectTarget, openedAt: MonotonicTime, at now: MonotonicTime) {
        forget(target, openedAt)
        records[target]?.isSilent = false
        records[target]?.accept.add(now - openedAt)
    }

    /// The connect ended before the server accepted. `isSilent`: it was given its time, and nobody answered.
    mutating func ended(_ target: ConnectTarget, openedAt: MonotonicTime, isSilent: Bool?) {
        forget(target, openedAt)
        if let isSilent { records[target]?.isSilent = isSilent }
    }

    /// The server accepted, and then said nothing for as long as anybody would wait.
    mutating func fellSilent(_ target: ConnectTarget) { records[target]?.isSilent = true }

    mutating func letIn(
        _ target: ConnectTarget, acceptedAt: MonotonicTime, isPreferredRole: Bool, at now: MonotonicTime
    ) {
        records[target]?.letIn.add(now - acceptedAt)
        records[target]?.hasWrongRole = !isPreferredRole
        // Not what was second best: it would go first for good.
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

/// A smoothed mean and deviation of times, as RFC 6298 §2 has them for a round trip.
struct TimeEstimate: Sendable {
    /// A sample counts for no more than twice the limit, or this: one answer of a minute must not make the next minute's
    /// patience. What has become slow for good is followed within a few samples.
    static let leastCap = Duration.milliseconds(250)

    private var values: (mean: Duration, deviation: Duration)?

    /// What is rarely exceeded: mean + 4 × deviation. `nil` without a sample.
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
