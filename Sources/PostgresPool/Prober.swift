import DispatchLoop

/// When to try a connect while the database does not answer. Never gives up.
///
/// After a failure it waits (``Backoff``). While a probe hangs in silence another one is due after ``hangInterval``, up
/// to ``maximumFlights`` at once; then the youngest but the first are given up for fresh ones, because a connect whose
/// first packet was lost learns of the network's return late, while the first keeps all the patience a slow network
/// needs. A request may bring the next probe forward, but not closer than ``demandSpacing`` to the last: with the first
/// few of the back-off that stays below twenty a second.
struct Prober: Sendable {
    static let hangInterval = Duration.milliseconds(250)
    static let demandSpacing = Duration.milliseconds(60)
    static let slowInterval = Duration.milliseconds(990)
    static let maximumFlights = 4
    static let lonePatience = Duration.seconds(1)
    /// How long a request waits for a probe that was begun for it; a refusal or a success is usually there by then.
    static let demandWait = Duration.milliseconds(25)

    /// A request waits only where the latest refusal came within this: what is known to be down is said at once, and a
    /// server that refuses after the log-in takes its time.
    static let promptness = Duration.milliseconds(4)

    struct Flight: Sendable, Hashable {
        let id: ConnectionID
        let startedAt: MonotonicTime
    }

    /// The probes under way, oldest first.
    private(set) var flights: [Flight] = []
    /// When the next one is due; `distantFuture` when the prober is stopped.
    private(set) var nextAt = MonotonicTime.distantFuture
    private(set) var lastStart: MonotonicTime?
    /// Whether the latest probe that ended had failed soon enough to be worth waiting for.
    private(set) var isPrompt = false
    private var backoff = Backoff()

    var isRunning: Bool { nextAt != .distantFuture }

    /// Starts over: the first probe is due at `time`, or when the spacing to the last connect allows. A server that lets
    /// us in and hangs up begins an outage with each connect.
    mutating func begin(at time: MonotonicTime) {
        backoff.reset()
        nextAt = max(time, (lastStart ?? time - Self.demandSpacing) + Self.demandSpacing)
        isPrompt = false
    }

    /// A connect was begun that is no probe.
    mutating func noteConnect(at now: MonotonicTime) { lastStart = now }

    /// Ends; the flights are the caller's to deal with, and are forgotten here.
    mutating func stop() {
        nextAt = .distantFuture
        flights.removeAll()
    }

    mutating func started(_ id: ConnectionID, at now: MonotonicTime, isSlow: Bool) {
        flights.append(Flight(id: id, startedAt: now))
        lastStart = now
        nextAt = now + (isSlow ? Self.slowInterval : Self.hangInterval)
    }

    /// No slot was to be had: try again soon.
    mutating func postpone(at now: MonotonicTime) {
        nextAt = now + Self.hangInterval
    }

    /// A probe has failed; sets when the next one is due. Returns `false` if it was none of the prober's.
    mutating func failed(
        _ id: ConnectionID, at now: MonotonicTime, isSlow: Bool, using random: inout some RandomNumberGenerator
    ) -> Bool {
        guard let flight = remove(id) else { return false }
        isPrompt = now - flight.startedAt < Self.promptness
        let wait = backoff.next(using: &random)
        nextAt = isSlow ? max((lastStart ?? now) + Self.slowInterval, now) : now + wait
        return true
    }

    /// A probe has succeeded or was given up.
    @discardableResult
    mutating func remove(_ id: ConnectionID) -> Flight? {
        guard let index = flights.firstIndex(where: { $0.id == id }) else { return nil }
        return flights.remove(at: index)
    }

    /// The probe to give up when a fresh one is due and there are as many as there may be. Where there may be only one,
    /// it has some time first: a fresh one every ``hangInterval`` would never succeed on a slow network.
    func mostDispensable(at now: MonotonicTime) -> ConnectionID? {
        if flights.count > 1 { return flights[1].id }
        return flights.first.flatMap { $0.startedAt + Self.lonePatience <= now ? $0.id : nil }
    }

    /// Connects that were under way when the trouble began are probes from now on.
    mutating func adopt(_ id: ConnectionID, startedAt: MonotonicTime) {
        flights.append(Flight(id: id, startedAt: startedAt))
        flights.sort { $0.startedAt < $1.startedAt }
    }

    /// A request would like to know now: makes the next probe due as soon as the spacing allows.
    mutating func pullForward(at now: MonotonicTime) {
        guard isRunning, flights.isEmpty else { return }
        nextAt = min(nextAt, max(now, (lastStart ?? now - Self.demandSpacing) + Self.demandSpacing))
    }

    /// Until when a request that arrives now may wait for a probe begun a moment ago; `nil`: it is not worth it.
    func demandLimit(at now: MonotonicTime) -> MonotonicTime? {
        guard isPrompt, let youngest = flights.last else { return nil }
        let limit = youngest.startedAt + Self.demandWait
        return limit > now ? limit : nil
    }
}
