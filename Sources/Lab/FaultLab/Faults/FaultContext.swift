import DispatchLoop
import PostgresTestKit

/// Where a fault takes place: the database, and – in the matrix – the sandbox it lives in, the relay on
/// the way there, and the service. Collects what the fault has to say beyond what clients see.
package final class FaultContext: Sendable {
    private struct State {
        var sandbox: PostgresSandbox?
        var second: PostgresSandbox?
        var relay: FaultRelay?
        var names: StubNameServer?
        var service: ServiceProcess?
        var address: ServiceAddress?
        var folder: TemporaryFolder?
        var launch = ServiceLaunch()
        var notes: [String] = []
        var verdicts: [Check] = []
        var cleanUps: [@Sendable () async -> Void] = []
        var keptOpen: [any Sendable] = []
        var excused: [(range: ClosedRange<ContinuousClock.Instant>, reason: String)] = []
        var usage: ProcessUsage?
        var leaving: (@Sendable () async throws -> Void)?
    }

    package let database: any DatabaseControl
    package let timeline: Timeline
    package let isQuick: Bool
    private let state = Locked(State())

    package init(database: any DatabaseControl, timeline: Timeline, isQuick: Bool = false) {
        self.database = database
        self.timeline = timeline
        self.isQuick = isQuick
    }

    convenience init(sandbox: PostgresSandbox, relay: FaultRelay?, timeline: Timeline, isQuick: Bool) {
        self.init(database: SandboxDatabase(sandbox), timeline: timeline, isQuick: isQuick)
        state.withLock {
            $0.sandbox = sandbox
            $0.relay = relay
        }
    }

    // MARK: Who is on it

    func sandbox() throws -> PostgresSandbox { try require(state.withLock { $0.sandbox }, "a sandbox") }
    func relay() throws -> FaultRelay { try require(state.withLock { $0.relay }, "a relay") }
    func service() throws -> ServiceProcess { try require(state.withLock { $0.service }, "a service of its own") }
    func address() throws -> ServiceAddress { try require(state.withLock { $0.address }, "a service of its own") }
    func second() throws -> PostgresSandbox { try require(state.withLock { $0.second }, "a second database") }
    func names() throws -> StubNameServer { try require(state.withLock { $0.names }, "a name server") }

    private func require<Thing>(_ thing: Thing?, _ name: String) throws -> Thing {
        guard let thing else { throw SandboxError(.service, "this fault needs \(name): run it in the matrix") }
        return thing
    }

    func enter(_ service: ServiceProcess, at address: ServiceAddress) {
        state.withLock {
            $0.service = service
            $0.address = address
        }
    }

    func enter(relay: FaultRelay) { state.withLock { $0.relay = relay } }
    func enter(second: PostgresSandbox) { state.withLock { $0.second = second } }
    func enter(names: StubNameServer) { state.withLock { $0.names = names } }

    /// Keeps something alive until the stage is cleared.
    func keep(_ thing: some Sendable) { state.withLock { $0.keptOpen.append(thing) } }
    /// Lets go of what was kept.
    func release() {
        // Outside the lock: what goes may take its time.
        _ = state.withLock { state in
            defer { state.keptOpen = [] }
            return state.keptOpen
        }
    }

    /// A folder for the fault's own files; goes with the stage.
    func folder() throws -> String {
        if let folder = state.withLock({ $0.folder }) { return folder.path }
        let made = try TemporaryFolder(isOpen: true)
        state.withLock { $0.folder = made }
        return made.path
    }

    /// How the service is started.
    var launch: ServiceLaunch {
        get { state.withLock { $0.launch } }
        set { state.withLock { $0.launch = newValue } }
    }

    /// The ports at which the service may reach a database.
    var databasePorts: Set<UInt16> {
        state.withLock { state in
            Set([state.sandbox?.port, state.second?.port, state.relay?.port].compactMap { $0 })
        }
    }

    /// The most connections that the service had through the relay; nil without one.
    var peakConnections: Int? { state.withLock { $0.relay }?.statistics.peak }

    /// What the service held, for comparison later on.
    func remember(_ usage: ProcessUsage?) { state.withLock { $0.usage = usage } }
    var remembered: ProcessUsage? { state.withLock { $0.usage } }

    // MARK: What is to be said

    /// A figure worth a line in the report.
    func note(_ text: String) { state.withLock { $0.notes.append(text) } }
    /// A promise that only this fault can check.
    func verdict(_ verdict: Check) { state.withLock { $0.verdicts.append(verdict) } }

    package var notes: [String] { state.withLock { $0.notes } }
    package var verdicts: [Check] { state.withLock { $0.verdicts } }

    /// A `/ping` may fail that is under way now or begun within so long: nobody could give it what it asks for. It must be
    /// answered all the same, and how many failed is told in a note.
    func excuse(for time: Duration, because reason: String) {
        let now = ContinuousClock.now
        state.withLock { $0.excused.append((now...now + time, reason)) }
    }

    /// Whether this failing answer is nobody's broken promise.
    func excuses(_ exchange: HTTPExchange) -> Bool {
        guard exchange.status != nil, !exchange.isGood else { return false }
        return state.withLock { $0.excused.contains { Self.covers($0.range, exchange) } }
    }

    private static func covers(_ range: ClosedRange<ContinuousClock.Instant>, _ exchange: HTTPExchange) -> Bool {
        exchange.end >= range.lowerBound && exchange.begin <= range.upperBound
    }

    /// Says of each excuse how many used it.
    func noteExcuses() {
        let failing = timeline.exchanges(on: "/ping").filter { $0.status != nil && !$0.isGood }
        for (range, reason) in state.withLock({ $0.excused }) {
            let count = failing.count { Self.covers(range, $0) }
            note("not counted: \(count) failing /ping within \(range.length.shown), \(reason)")
        }
    }

    // MARK: Pace and order

    /// How much of it: the whole, or in a hurry.
    func amount<Value>(_ whole: Value, quick: Value) -> Value { isQuick ? quick : whole }

    /// The fault's own pace. (Not for waiting for an effect: that is polled for.)
    func pause(_ duration: Duration) async throws { try await Task.sleep(for: duration) }

    /// Does something `count` times, one every `interval`, however long each takes.
    func repeatedly(_ count: Int, every interval: Duration, _ body: (Int) async throws -> Void) async throws {
        let begin = ContinuousClock.now
        for turn in 0..<count {
            try await body(turn)
            let next = begin + interval * (turn + 1)
            if next > .now { try await Task.sleep(until: next, clock: .continuous) }
        }
    }

    /// Waits until every `/ping` that has just been struck has its answer. The service tries a request once more, not for
    /// ever: where the machine is so busy that the fault is faster than the answers, it would strike one request twice.
    func letStruckRequestsEnd() async throws {
        try await timeline.waitForThoseUnderWay(on: "/ping", within: amount(.seconds(1), quick: .seconds(10)))
    }

    /// Waits for an effect; throws with its name when it does not come.
    func await(
        _ what: String, within limit: Duration = .seconds(20), _ condition: () async throws -> Bool
    ) async throws {
        guard try await Deadline(in: limit).wait(until: condition) else {
            throw SandboxError(.timedOut, "\(what) did not come within \(limit.shown)")
        }
    }

    /// To be done right before the service is asked to leave, so that it has to leave in the middle of something.
    func beforeLeaving(_ body: @escaping @Sendable () async throws -> Void) { state.withLock { $0.leaving = body } }
    func prepareToLeave() async throws { try await state.withLock { $0.leaving }?() }

    /// To be done when all is over, the last one first.
    func onCleanUp(_ body: @escaping @Sendable () async -> Void) { state.withLock { $0.cleanUps.append(body) } }

    /// Puts away what was made, whatever has happened before.
    func clear() async {
        let cleanUps = state.withLock { state in
            defer { state.cleanUps = [] }
            return state.cleanUps
        }
        for body in cleanUps.reversed() { await body() }
        release()
        if let relay = state.withLock({ $0.relay }) { await relay.shutDown() }
        for sandbox in state.withLock({ [$0.second, $0.sandbox] }).compactMap({ $0 }) { try? await sandbox.remove() }
    }
}

extension ClosedRange<ContinuousClock.Instant> {
    fileprivate var length: Duration { upperBound - lowerBound }
}

/// How a service under observation is started.
struct ServiceLaunch: Sendable {
    /// The connection string; nil: the sandbox's, through the relay if there is one.
    var databaseURL: String?
    var environment: [String: String] = [:]
    /// Words before the command, for instance `unshare -m sh -c …`.
    var prefix: [String] = []
}
