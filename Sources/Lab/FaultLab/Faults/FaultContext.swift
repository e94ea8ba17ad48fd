import DispatchLoop
import PostgresTestKit

/// The surroundings of a fault: the database and, in the matrix, its sandbox, the relay and the service. Collects the
/// fault's own notes and checks.
package final class FaultContext: Sendable {
    private struct State {
        var sandbox: PostgresSandbox?
        var second: PostgresSandbox?
        var relay: FaultRelay?
        var names: StubNameServer?
        var clusterPorts: Set<UInt16> = []
        var service: ServiceProcess?
        var address: ServiceAddress?
        var folder: TemporaryFolder?
        var launch = ServiceLaunch()
        var notes: [String] = []
        var checks: [Check] = []
        var cleanUps: [@Sendable () async -> Void] = []
        var keptOpen: [any Sendable] = []
        var excused: [(range: ClosedRange<ContinuousClock.Instant>, reason: String)] = []
        var usage: ProcessUsage?
        var beforeStop: (@Sendable () async throws -> Void)?
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

    // MARK: Components

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

    func use(_ service: ServiceProcess, at address: ServiceAddress) {
        state.withLock {
            $0.service = service
            $0.address = address
        }
    }

    func use(relay: FaultRelay) { state.withLock { $0.relay = relay } }
    func use(second: PostgresSandbox) { state.withLock { $0.second = second } }
    func use(names: StubNameServer) { state.withLock { $0.names = names } }
    /// The ports of a cluster's servers, which the service reaches besides the sandbox's.
    func use(clusterPorts: Set<UInt16>) { state.withLock { $0.clusterPorts = clusterPorts } }

    /// Keeps an object alive until `release` or `clear`.
    func keep(_ thing: some Sendable) { state.withLock { $0.keptOpen.append(thing) } }
    /// Releases the kept objects.
    func release() {
        // Outside the lock, because a `deinit` may take long.
        _ = state.withLock { state in
            defer { state.keptOpen = [] }
            return state.keptOpen
        }
    }

    /// A folder for the fault's own files. The context deletes it.
    func folder() throws -> String {
        if let folder = state.withLock({ $0.folder }) { return folder.path }
        let made = try TemporaryFolder(isOpen: true)
        state.withLock { $0.folder = made }
        return made.path
    }

    /// How the matrix starts the service.
    var launch: ServiceLaunch {
        get { state.withLock { $0.launch } }
        set { state.withLock { $0.launch = newValue } }
    }

    /// The ports at which the service may reach a database.
    var databasePorts: Set<UInt16> {
        state.withLock { state in
            Set([database.port, state.second?.port, state.relay?.port].compactMap { $0 }).union(state.clusterPorts)
        }
    }

    /// The most simultaneous connections through the relay; nil without a relay.
    var peakConnections: Int? { state.withLock { $0.relay }?.statistics.peak }

    /// Stores the service's resources for a later comparison.
    func remember(_ usage: ProcessUsage?) { state.withLock { $0.usage = usage } }
    var remembered: ProcessUsage? { state.withLock { $0.usage } }

    // MARK: Notes and checks

    /// Adds a line to the report.
    func note(_ text: String) { state.withLock { $0.notes.append(text) } }
    /// Adds a check that only this fault makes.
    func check(_ check: Check) { state.withLock { $0.checks.append(check) } }

    package var notes: [String] { state.withLock { $0.notes } }
    package var checks: [Check] { state.withLock { $0.checks } }

    /// Excuses a failure of each `/ping` that is in flight now or begins within `time`, because no service could do
    /// better. Each must still be answered. A note counts the failures.
    func excuse(for time: Duration, because reason: String) {
        let now = ContinuousClock.now
        state.withLock { $0.excused.append((now...now + time, reason)) }
    }

    /// Whether an excuse covers this failing answer.
    func excuses(_ exchange: HTTPExchange) -> Bool {
        guard exchange.status != nil, !exchange.isGood else { return false }
        return state.withLock { $0.excused.contains { Self.covers($0.range, exchange) } }
    }

    private static func covers(_ range: ClosedRange<ContinuousClock.Instant>, _ exchange: HTTPExchange) -> Bool {
        exchange.end >= range.lowerBound && exchange.begin <= range.upperBound
    }

    /// Adds a note for each excuse, with the number of failures that it covers.
    func noteExcuses() {
        let failing = timeline.exchanges(on: "/ping").filter { $0.status != nil && !$0.isGood }
        for (range, reason) in state.withLock({ $0.excused }) {
            let count = failing.count { Self.covers(range, $0) }
            note("not counted: \(count) failing /ping within \(range.length.shown), \(reason)")
        }
    }

    // MARK: Pace and order

    /// Chooses between the whole fault and the quick one.
    func amount<Value>(_ whole: Value, quick: Value) -> Value { isQuick ? quick : whole }

    /// Sets the fault's pace. To wait for an effect, poll for it with `await`.
    func pause(_ duration: Duration) async throws { try await Task.sleep(for: duration) }

    /// Runs `body` `count` times, once every `interval`.
    func repeatedly(_ count: Int, every interval: Duration, _ body: (Int) async throws -> Void) async throws {
        let begin = ContinuousClock.now
        for turn in 0..<count {
            try await body(turn)
            let next = begin + interval * (turn + 1)
            if next > .now { try await Task.sleep(until: next, clock: .continuous) }
        }
    }

    /// Waits until every `/ping` in flight has its answer. The service retries a request only a few times; on a busy
    /// machine the fault's next step would otherwise hit the retries too.
    func waitForAffectedRequests() async throws {
        try await timeline.waitForExchangesInFlight(on: "/ping", within: amount(.seconds(1), quick: .seconds(10)))
    }

    /// Polls for an effect. Throws, naming the effect, if it does not occur.
    func await(
        _ what: String, within limit: Duration = .seconds(20), _ condition: () async throws -> Bool
    ) async throws {
        guard try await Deadline(in: limit).wait(until: condition) else {
            throw SandboxError(.timedOut, "\(what) did not come within \(limit.shown)")
        }
    }

    /// Sets the action that runs right before SIGTERM, so that the service shuts down while it is busy.
    func beforeStop(_ body: @escaping @Sendable () async throws -> Void) { state.withLock { $0.beforeStop = body } }
    func runBeforeStop() async throws { try await state.withLock { $0.beforeStop }?() }

    /// Adds a step to `clear`. The last one runs first.
    func onCleanUp(_ body: @escaping @Sendable () async -> Void) { state.withLock { $0.cleanUps.append(body) } }

    /// Removes everything that the fault created.
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

/// How the matrix starts a service.
struct ServiceLaunch: Sendable {
    /// Nil for the sandbox's, through the relay, if any.
    var databaseURL: String?
    var environment: [String: String] = [:]
    /// Words before the command, such as `unshare -m sh -c …`.
    var prefix: [String] = []
}
