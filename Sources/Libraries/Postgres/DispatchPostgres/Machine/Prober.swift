import DispatchLoop

/// When to try a connect while the database does not answer. Never gives up.
///
/// After a failure it waits (``Backoff``). A request, and everybody who waits, brings the next probe forward, but not
/// closer than ``demandSpacing`` for each socket that the last one opened: below twenty a second.
///
/// A probe that hangs is followed by another one. How soon depends on what the other side has seen of it:
///
/// - Not even a handshake: to the server it does not exist. Another is due after ``hangInterval``, up to ``maximumFlights``
///   at once; then the youngest but the first are given up for fresh ones, because a connect whose first packet was lost
///   learns of the network's return late, while the first keeps all the patience a slow network needs.
/// - Accepted, and silent: it may be a process at the server, and a log-in that takes its time (LDAP, a busy server). It is
///   left alone; another follows after ``acceptedInterval``, as long as there are slots – or at once, for those who wait,
///   when the server has said something in it: then it is there. Only when all of them are taken is
///   the oldest given up, after ``acceptedPatience``.
struct Prober: Sendable {
    static let hangInterval = Duration.milliseconds(250)
    static let demandSpacing = Duration.milliseconds(60)
    /// The same for each socket of a probe that opened several: just below twenty a second, or the way back over one of two
    /// hosts would be too long.
    static let socketSpacing = Duration.milliseconds(51)
    static let slowInterval = Duration.milliseconds(990)
    static let maximumFlights = 4
    static let soloTimeout = Duration.seconds(1)
    static let acceptedInterval = Duration.seconds(1)
    static let acceptedPatience = Duration.seconds(10)
    /// How long a request waits for a probe that was begun for it; a refusal or a success is usually there by then.
    static let onDemandWait = Duration.milliseconds(25)

    /// A request waits only where the latest refusal came within this: what is known to be down is said at once, and a
    /// server that refuses after the log-in takes its time.
    static let fastFailure = Duration.milliseconds(4)

    struct Probe: Sendable, Hashable {
        let id: ConnectionID
        let startedAt: MonotonicTime
        /// Whether a server has accepted it.
        var isAccepted = false
        /// Whether it has said something since: then it is there, and takes its time.
        var isTalking = false
    }

    /// The probes under way, oldest first.
    private(set) var probes: [Probe] = []
    /// When the next one is due; `distantFuture` when the prober is stopped.
    private(set) var nextAt = MonotonicTime.distantFuture
    private(set) var lastStart: MonotonicTime?
    /// How far the next one must be from the last, for the sockets that it opened.
    private var spacing = demandSpacing
    /// Whether the latest probe that ended had failed soon enough to be worth waiting for.
    private(set) var isPrompt = false
    private var backoff = Backoff()

    var isRunning: Bool { nextAt != .distantFuture }

    /// When the next one may begin at the earliest.
    private func earliest(at now: MonotonicTime) -> MonotonicTime { max(now, (lastStart ?? now - spacing) + spacing) }

    /// Starts over: the first probe is due at `time`, or when the spacing to the last connect allows. A server that lets
    /// us in and hangs up begins an outage with each connect.
    mutating func begin(at time: MonotonicTime) {
        backoff.reset()
        nextAt = earliest(at: time)
        isPrompt = false
    }

    /// A connect was begun that is no probe.
    mutating func noteConnect(at now: MonotonicTime) { lastStart = now }

    /// Ends; the flights are the caller's to deal with, and are forgotten here.
    mutating func stop() {
        nextAt = .distantFuture
        probes.removeAll()
    }

    mutating func started(_ id: ConnectionID, at now: MonotonicTime, isSlow: Bool) {
        probes.append(Probe(id: id, startedAt: now))
        lastStart = now
        spacing = Self.demandSpacing
        nextAt = now + (isSlow ? Self.slowInterval : Self.hangInterval)
    }

    /// A server has accepted a probe.
    mutating func accepted(_ id: ConnectionID) {
        guard let index = probes.firstIndex(where: { $0.id == id }), !probes[index].isAccepted else { return }
        probes[index].isAccepted = true
        guard isRunning else { return }
        nextAt = max(nextAt, probes[index].startedAt + Self.acceptedInterval)
    }

    /// What a server had accepted has ended, and the probe goes on with other addresses: it hangs like one that nobody has
    /// accepted.
    mutating func lostServer(_ id: ConnectionID, at now: MonotonicTime) {
        guard let index = probes.firstIndex(where: { $0.id == id }) else { return }
        probes[index].isAccepted = false
        probes[index].isTalking = false
        if isRunning { nextAt = min(nextAt, now + Self.hangInterval) }
    }

    /// The server has said something in a probe.
    mutating func heard(_ id: ConnectionID) {
        if let index = probes.firstIndex(where: { $0.id == id }) { probes[index].isTalking = true }
    }

    /// No slot was to be had: try again soon.
    mutating func postpone(at now: MonotonicTime) {
        nextAt = now + Self.hangInterval
    }

    /// A probe has failed, and had opened so many sockets; sets when the next one is due. Returns `false` if it was none of
    /// the prober's.
    mutating func failed(
        _ id: ConnectionID, sockets: Int = 1, at now: MonotonicTime, isSlow: Bool,
        using random: inout some RandomNumberGenerator
    ) -> Bool {
        guard let flight = remove(id) else { return false }
        isPrompt = now - flight.startedAt < Self.fastFailure
        let sockets = max(sockets, 1)
        spacing = max(Self.demandSpacing, Self.socketSpacing * sockets)
        let wait = backoff.next(using: &random)
        let rest = sockets > 1 ? flight.startedAt + Backoff.cap * sockets : now
        nextAt = isSlow ? max((lastStart ?? now) + Self.slowInterval * sockets, now) : max(now + wait, rest)
        return true
    }

    /// A probe has succeeded or was given up.
    @discardableResult
    mutating func remove(_ id: ConnectionID) -> Probe? {
        guard let index = probes.firstIndex(where: { $0.id == id }) else { return nil }
        return probes.remove(at: index)
    }

    /// Whether another probe may fly beside those that hang.
    func mayFlyAnother(maximum: Int) -> Bool {
        probes.count < maximum && probes.count(where: { !$0.isAccepted }) < Self.maximumFlights
    }

    /// The probe to give up when a fresh one is due and there are as many as there may be. Where there may be only one,
    /// it has some time first: a fresh one every ``hangInterval`` would never succeed on a slow network.
    func oldestExpendable(at now: MonotonicTime) -> ConnectionID? {
        let unseen = probes.filter { !$0.isAccepted }
        if unseen.count > 1 { return unseen[1].id }
        if let only = unseen.first, only.startedAt + Self.soloTimeout <= now { return only.id }
        return probes.first { $0.isAccepted && $0.startedAt + Self.acceptedPatience <= now }?.id
    }

    /// Connects that were under way when the trouble began are probes from now on.
    mutating func track(_ id: ConnectionID, startedAt: MonotonicTime, isAccepted: Bool) {
        probes.append(Probe(id: id, startedAt: startedAt, isAccepted: isAccepted))
        probes.sort { $0.startedAt < $1.startedAt }
    }

    /// A request would like to know now: makes the next probe due as soon as the spacing allows. One that hangs is no
    /// reason against it, unless a server has accepted it and said nothing.
    mutating func expedite(at now: MonotonicTime) {
        guard isRunning else { return }
        var time = earliest(at: now)
        for flight in probes where flight.isAccepted && !flight.isTalking {
            time = max(time, flight.startedAt + Self.acceptedInterval)
        }
        nextAt = min(nextAt, time)
    }

    /// Until when a request that arrives now may wait for a probe begun a moment ago; `nil`: it is not worth it.
    func onDemandDeadline(at now: MonotonicTime) -> MonotonicTime? {
        guard isPrompt, let youngest = probes.last else { return nil }
        let limit = youngest.startedAt + Self.onDemandWait
        return limit > now ? limit : nil
    }
}
