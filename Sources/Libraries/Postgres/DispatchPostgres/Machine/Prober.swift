import DispatchLoop

/// Schedules connects while the database does not answer. It never stops trying.
///
/// After a failure it backs off (``Backoff``). Requests and waiters bring the next probe forward, but keep a distance
/// that depends on the sockets of earlier ones: at most twenty in any second (``spacing(for:)``).
///
/// Another probe follows one that hangs. How soon depends on what the server has seen of the hanging one:
///
/// - No handshake: to the server it does not exist. Another probe follows after ``hangInterval``, up to
///   ``maximumProbes`` at once. Then new probes replace the second oldest: a connect whose first packet was lost
///   notices the network's return late, while the oldest keeps the time that a slow network needs.
/// - Accepted and silent: it may be a process at the server with a slow login (LDAP, a busy server). It keeps running;
///   another probe follows after ``acceptedInterval`` while slots are free, or at once for waiters when the server has
///   sent something. Only when all slots are taken is the oldest abandoned, after ``acceptedPatience``.
///
/// Requests get one probe beside a single accepted and silent one. A server that starts turns a client away (57P03) by a
/// process of its own, whose answer may come 160 ms after the server is ready (measured in a container).
struct Prober: Sendable {
    static let hangInterval = Duration.milliseconds(250)
    static let demandSpacing = Duration.milliseconds(60)
    /// The most sockets in a second.
    static let socketLimit = 20
    static let slowInterval = Duration.milliseconds(990)
    static let maximumProbes = 4
    static let soloTimeout = Duration.seconds(1)
    static let acceptedInterval = Duration.seconds(1)
    static let acceptedPatience = Duration.seconds(10)
    /// How long a request waits for a probe that was started for it; most probes have failed or succeeded by then.
    static let onDemandWait = Duration.milliseconds(25)

    /// A request waits only if the latest probe failed within this time. Otherwise it fails at once: a server that
    /// refuses after the login is too slow to wait for.
    static let fastFailure = Duration.milliseconds(4)

    struct Probe: Sendable, Hashable {
        let id: ConnectionID
        let startedAt: MonotonicTime
        /// Whether a server has accepted it.
        var isAccepted = false
        /// Whether the server has sent something since: then it works, and is only slow.
        var hasReply = false
    }

    /// The running probes, oldest first.
    private(set) var probes: [Probe] = []
    /// When the next one is due; `distantFuture` when the prober is stopped.
    private(set) var nextAt = MonotonicTime.distantFuture
    private(set) var lastStart: MonotonicTime?
    /// As many sockets as the next probe may open: the most that one of this outage's has opened; at first the number of
    /// servers.
    private var expectedSockets: Int
    private let servers: Int
    /// Whether the latest probe failed so fast that waiting for the next one pays.
    private(set) var isPrompt = false
    private var backoff = Backoff()

    init(servers: Int = 1) {
        self.servers = servers
        expectedSockets = servers
    }

    var isRunning: Bool { nextAt != .distantFuture }

    /// The minimum time between two probes that open `sockets` each. Larger ones would make recovery through one of
    /// several hosts too slow. Also while the first one runs: a busy server's login takes longer than this.
    static func spacing(for sockets: Int) -> Duration {
        let probesPerSecond = max(socketLimit / max(sockets, 1), 1)
        return max(demandSpacing, .milliseconds(1_000 / probesPerSecond + 2))
    }

    /// The earliest time for the next probe.
    private func earliest(at now: MonotonicTime) -> MonotonicTime {
        lastStart.map { max(now, $0 + Self.spacing(for: expectedSockets)) } ?? now
    }

    /// Starts over: the first probe is due at `time`, or when the spacing to the last connect allows (a server that
    /// admits us and hangs up starts an outage with each connect).
    mutating func begin(at time: MonotonicTime) {
        backoff.reset()
        expectedSockets = servers
        nextAt = earliest(at: time)
        isPrompt = false
    }

    /// A connect other than a probe began.
    mutating func noteConnect(at now: MonotonicTime) { lastStart = now }

    /// Stops, and forgets the running probes; the caller closes them.
    mutating func stop() {
        nextAt = .distantFuture
        probes.removeAll()
    }

    mutating func started(_ id: ConnectionID, at now: MonotonicTime, isSlow: Bool) {
        probes.append(Probe(id: id, startedAt: now))
        lastStart = now
        nextAt = now + (isSlow ? Self.slowInterval : Self.hangInterval)
    }

    /// A server has accepted a probe.
    mutating func accepted(_ id: ConnectionID) {
        guard let index = probes.firstIndex(where: { $0.id == id }), !probes[index].isAccepted else { return }
        probes[index].isAccepted = true
        guard isRunning else { return }
        nextAt = max(nextAt, probes[index].startedAt + Self.acceptedInterval)
    }

    /// The accepted socket has ended, and the probe tries other addresses: it hangs like one that no server has
    /// accepted.
    mutating func lostServer(_ id: ConnectionID, at now: MonotonicTime) {
        guard let index = probes.firstIndex(where: { $0.id == id }) else { return }
        probes[index].isAccepted = false
        probes[index].hasReply = false
        if isRunning { nextAt = min(nextAt, now + Self.hangInterval) }
    }

    /// The probe has only now begun to connect.
    mutating func restarted(_ id: ConnectionID, at now: MonotonicTime) {
        guard remove(id) != nil else { return }
        probes.append(Probe(id: id, startedAt: now))
        if isRunning { nextAt = min(nextAt, now + Self.hangInterval) }
    }

    /// The server has sent something in a probe.
    mutating func serverReplied(_ id: ConnectionID) {
        if let index = probes.firstIndex(where: { $0.id == id }) { probes[index].hasReply = true }
    }

    /// No slot was free: tries again soon.
    mutating func postpone(at now: MonotonicTime) {
        nextAt = now + Self.hangInterval
    }

    /// A probe that had opened `sockets` sockets failed: schedules the next one. Returns `false` if it is not a probe.
    mutating func failed(
        _ id: ConnectionID, sockets: Int = 1, at now: MonotonicTime, isSlow: Bool,
        using random: inout some RandomNumberGenerator
    ) -> Bool {
        guard let probe = remove(id) else { return false }
        isPrompt = now - probe.startedAt < Self.fastFailure
        let sockets = max(sockets, 1)
        expectedSockets = max(sockets, expectedSockets)
        let wait = backoff.next(using: &random)
        let rest = sockets > 1 ? probe.startedAt + Backoff.cap * sockets : now
        nextAt = isSlow ? max((lastStart ?? now) + Self.slowInterval * sockets, now) : max(now + wait, rest)
        return true
    }

    /// A probe has succeeded or was abandoned.
    @discardableResult
    mutating func remove(_ id: ConnectionID) -> Probe? {
        guard let index = probes.firstIndex(where: { $0.id == id }) else { return nil }
        return probes.remove(at: index)
    }

    /// Whether another probe may run beside those that hang.
    func mayStartAnother(maximum: Int) -> Bool {
        probes.count < maximum && probes.count(where: { !$0.isAccepted }) < Self.maximumProbes
    }

    /// The probe to abandon when a new one is due and no more may run. A single probe keeps ``soloTimeout``: a new one
    /// every ``hangInterval`` would never succeed on a slow network.
    func oldestExpendable(at now: MonotonicTime) -> ConnectionID? {
        let unseen = probes.filter { !$0.isAccepted }
        if unseen.count > 1 { return unseen[1].id }
        if let only = unseen.first, only.startedAt + Self.soloTimeout <= now { return only.id }
        return probes.first { $0.isAccepted && $0.startedAt + Self.acceptedPatience <= now }?.id
    }

    /// A connect that was running when the outage began becomes a probe.
    mutating func track(_ id: ConnectionID, startedAt: MonotonicTime, isAccepted: Bool) {
        probes.append(Probe(id: id, startedAt: startedAt, isAccepted: isAccepted))
        probes.sort { $0.startedAt < $1.startedAt }
    }

    /// Demand has arrived: makes the next probe due as soon as the spacing allows. Hanging probes delay it only if
    /// servers have accepted two of them and sent nothing, or one while another server talks or no slot is free.
    mutating func expedite(hasFreeSlot: Bool, at now: MonotonicTime) {
        guard isRunning else { return }
        var time = earliest(at: now)
        let silent = probes.filter { $0.isAccepted && !$0.hasReply }
        if let youngest = silent.last, silent.count > 1 || !hasFreeSlot || probes.contains(where: \.hasReply) {
            time = max(time, youngest.startedAt + Self.acceptedInterval)
        }
        nextAt = min(nextAt, time)
    }

    /// How long a request that arrives now may wait for the youngest probe; `nil`: not at all.
    func onDemandDeadline(at now: MonotonicTime) -> MonotonicTime? {
        guard isPrompt, let youngest = probes.last else { return nil }
        let limit = youngest.startedAt + Self.onDemandWait
        return limit > now ? limit : nil
    }
}
