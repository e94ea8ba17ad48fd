import DispatchLoop
import PostgresTestKit
import Testing

@testable import PostgresSession

/// A connect attempt and its result.
@LoopActor
private final class Trial: ConnectAttemptClient {
    var extra: Int
    private(set) var inUse = 0
    private(set) var mostExtra = 0
    private(set) var progress = 0
    private(set) var result: Result<PostgresConnection, PostgresError>?
    private var waiting: CheckedContinuation<Result<PostgresConnection, PostgresError>, Never>?
    private(set) var attempt: ConnectAttempt?
    let startedAt = MonotonicTime.now()
    private(set) var endedAt = MonotonicTime.now()

    init(
        _ url: String, limits: ConnectLimits, extra: Int = 0, memory: ServerMemory = ServerMemory(),
        helpers: LoginHelpers = .shared, addresses: [String] = []
    ) {
        self.extra = extra
        let resolver = HostResolver { _ in .success(addresses) }
        attempt = ConnectAttempt(
            ConnectionConfiguration(url), limits: limits, memory: memory, resolver: resolver, helpers: helpers,
            client: self
        ) { result in
            self.result = result
            self.endedAt = .now()
            self.waiting?.resume(returning: result)
        }
        attempt?.start()
    }

    var took: Duration { endedAt - startedAt }

    func outcome() async -> Result<PostgresConnection, PostgresError> {
        if let result { return result }
        return await withCheckedContinuation { waiting = $0 }
    }

    func error() async -> PostgresError? {
        if case .failure(let error) = await outcome() { error } else { nil }
    }

    func attemptMayOpenAnotherSocket(_ attempt: ConnectAttempt) -> Bool {
        guard inUse < extra else { return false }
        inUse += 1
        mostExtra = max(mostExtra, inUse)
        return true
    }

    func attemptClosedExtraSocket(_ attempt: ConnectAttempt) { inUse -= 1 }
    func attemptProgressed(_ attempt: ConnectAttempt, isAnswer: Bool) { progress += 1 }
    func attemptLostServer(_ attempt: ConnectAttempt) {}
}

@LoopActor
private func within(_ duration: Duration) -> ConnectLimits { .within(.now() + duration) }

@LoopActor
@Suite(.timeLimit(.minutes(2)), .serialized) struct ConnectAttemptTests {
    private func url(_ sandbox: PostgresSandbox, host: String = "db.example", _ options: String = "") -> String {
        "postgres://admin:P%40ssw0rd@\(host):\(sandbox.port)/mydb\(options)"
    }

    @Test("an address that drops SYNs before the live one costs a quarter of a second once, then nothing")
    func deadAddress() async throws {
        let sandbox = try await SharedSandbox.get()
        let dead = try DeadAddress(port: sandbox.port)
        let memory = ServerMemory()
        let addresses = [dead.address, "127.0.0.1"]
        let first = Trial(url(sandbox), limits: within(.seconds(5)), memory: memory, addresses: addresses)
        let connection = try await first.outcome().get()
        #expect(first.took > .milliseconds(240), "\(first.took)")
        #expect(first.attempt?.socketCount == 2)
        let second = Trial(url(sandbox), limits: within(.seconds(5)), memory: memory, addresses: addresses)
        let other = try await second.outcome().get()
        #expect(second.attempt?.socketCount == 1)
        connection.close()
        other.close()
        withExtendedLifetime(dead) {}
    }

    @Test("the sixth of six addresses is reached with and without concurrent sockets", arguments: [0, 5])
    func sixth(extra: Int) async throws {
        let sandbox = try await SharedSandbox.get()
        let dead = try (2...6).map { _ in try DeadAddress(port: sandbox.port) }
        let trial = Trial(
            url(sandbox), limits: within(.seconds(5)), extra: extra,
            addresses: dead.map(\.address) + ["127.0.0.1"])
        let connection = try await trial.outcome().get()
        #expect(trial.took < .seconds(3), "\(trial.took)")
        #expect(trial.mostExtra == extra)
        #expect(trial.inUse == 0, "the losers' slots are released")
        #expect(trial.attempt?.openSocketCount == 0)
        connection.close()
        withExtendedLifetime(dead) {}
    }

    @Test(
        "a silent server that accepts delays neither the other addresses nor the release of its slot",
        arguments: [0, 1])
    func silent(extra: Int) async throws {
        let sandbox = try await SharedSandbox.get()
        let address = unusedAddress()
        let silent = try ScriptedServer(on: address, port: sandbox.port) { connection, _ in
            while !ScriptedServer.read(connection).isEmpty {}
        }
        let trial = Trial(
            url(sandbox), limits: within(.milliseconds(2_400)), extra: extra, addresses: [address, "127.0.0.1"])
        let connection = try await trial.outcome().get()
        #expect(trial.took < (extra == 0 ? .milliseconds(1_700) : .milliseconds(700)), "\(trial.took)")
        #expect(trial.inUse == 0)
        connection.close()
        withExtendedLifetime(silent) {}
    }

    @Test("an attempt reports progress, and is reached once a server has accepted")
    func progress() async throws {
        let sandbox = try await SharedSandbox.get()
        let dead = try DeadAddress(port: sandbox.port)
        let unreached = Trial(url(sandbox), limits: within(.milliseconds(60)), addresses: [dead.address])
        let error = await unreached.error()
        #expect(error?.code == PostgresError.Code.connectTimeout)
        #expect(unreached.progress == 0)
        #expect(unreached.attempt?.isReached == false)
        let server = try ScriptedServer { connection, _ in while !ScriptedServer.read(connection).isEmpty {} }
        let reached = Trial("postgres://u@127.0.0.1:\(server.port)/x?sslmode=disable", limits: within(.seconds(5)))
        try await eventually("the connection is accepted") { reached.attempt?.isReached == true }
        #expect(reached.progress == 1)
        reached.attempt?.abandon()
        let whole = Trial(url(sandbox, host: "127.0.0.1"), limits: within(.seconds(5)))
        try await whole.outcome().get().close()
        #expect(whole.progress > 3)
        withExtendedLifetime((dead, server)) {}
    }

    @Test("a login may take longer than the reach deadline, up to its own limit")
    func slowLogin() async throws {
        let server = try ScriptedServer { connection, _ in while !ScriptedServer.read(connection).isEmpty {} }
        let limits = ConnectLimits(reachDeadline: .now() + .milliseconds(100), loginTimeout: .milliseconds(400))
        let trial = Trial("postgres://u@127.0.0.1:\(server.port)/x?sslmode=disable", limits: limits)
        #expect(await trial.error()?.code == PostgresError.Code.connectTimeout)
        #expect(trial.took >= .milliseconds(400))
        withExtendedLifetime(server) {}
    }

    @Test("sockets that libpq opens by itself count: sslmode=prefer tries again without TLS")
    func secondTry() async throws {
        let server = try ScriptedServer { connection, number in
            ScriptedServer.read(connection)
            if number == 1 { ScriptedServer.send(connection, [UInt8(ascii: "S")]) }
        }
        let trial = Trial("postgres://u@127.0.0.1:\(server.port)/x?sslmode=prefer", limits: within(.seconds(5)))
        #expect(await trial.error()?.code == PostgresError.Code.ended)
        #expect(server.accepted == 2)
        #expect(trial.attempt?.socketCount == 2)
    }

    // MARK: Slow keys

    /// Creates a role whose keys take `rounds` and whose password is wrong, which shows only after computing them.
    private func makeRole(_ name: String, rounds: Int, in sandbox: PostgresSandbox) async throws -> String {
        let key = String(repeating: "A", count: 43) + "="
        let verifier = "SCRAM-SHA-256$\(rounds):c2FsdA==$\(key):\(key)"
        _ = try await sandbox.execute("create role \(name) login password '\(verifier)'")
        return "postgres://\(name):x@127.0.0.1:\(sandbox.port)/mydb"
    }

    /// The number of loop iterations while `body` ran. Their duration depends on the machine's load.
    private func turns(during body: () async throws -> Void) async rethrows -> Int {
        let loop = EventLoop.shared
        var count = 0
        var isOver = false
        func turn() {
            count += 1
            if !isOver { _ = loop.schedule(at: .now() + .milliseconds(2)) { turn() } }
        }
        turn()
        try await body()
        isOver = true
        return count
    }

    @Test("the loop runs while the keys of many rounds are computed, and abandoning does not wait for them")
    func manyRounds() async throws {
        let url = try await makeRole("slow", rounds: 400_000, in: try await SharedSandbox.get())
        // Own helper threads, so that other tests do not wait for them.
        let helpers = LoginHelpers(limit: 1)
        let patient = Trial(url, limits: within(.seconds(30)), helpers: helpers)
        #expect(await patient.error()?.code == "28P01", "refused after computing the keys")
        let given = Trial(url, limits: within(.seconds(30)), helpers: helpers)
        try await eventually("it computes") {
            given.attempt?.computingSince.map { .now() - $0 > .milliseconds(50) } == true
        }
        var isClosed = false
        let begin = MonotonicTime.now()
        given.attempt?.abandon { isClosed = true }
        #expect(.now() - begin < .milliseconds(200), "waiting for the helper would take half a second or longer")
        #expect(!isClosed && given.attempt?.openSocketCount == 1, "the helper owns its socket")
        let turns = try await turns { try await eventually("the helper has closed it") { isClosed } }
        #expect(turns > 5, "\(turns) iterations while a helper computed for half a second")
        #expect(given.attempt?.openSocketCount == 0)
        #expect(given.result == nil)
    }

    @Test("a server that demands 2,000,000,000 rounds fails the attempt at once, without a thread")
    func absurdRounds() async throws {
        let server = try ScriptedServer { connection, _ in ScriptedServer.askForRounds(connection, 2_000_000_000) }
        let threads = Files.names(in: "/proc/self/task").count
        let trial = Trial("postgres://u:x@127.0.0.1:\(server.port)/x?sslmode=disable", limits: within(.seconds(5)))
        let error = await trial.error()
        #expect(error?.code == PostgresError.Code.loginKeys)
        #expect(error?.message.contains("2000000000 rounds") == true)
        #expect(error?.disposition == .configuration)
        #expect(trial.took < .seconds(1))
        try await eventually("no thread is left") { Files.names(in: "/proc/self/task").count <= threads + 2 }
    }

    @Test("queued logins fail with the cause when all helpers are busy")
    func busyHelpers() async throws {
        let url = try await makeRole("slower", rounds: 600_000, in: try await SharedSandbox.get())
        let helpers = LoginHelpers(limit: 1, queueTimeout: .milliseconds(50))
        let trials = (0..<2).map { _ in Trial(url, limits: within(.seconds(60)), helpers: helpers) }
        try await eventually("one attempt has failed") { trials.contains { $0.result != nil } }
        let error = await (trials.first { $0.result != nil })?.error()
        #expect(error?.code == PostgresError.Code.loginKeys)
        #expect(
            error?.message.contains("another login is still computing the keys of SCRAM") == true,
            "\(error?.message ?? "")")
        #expect(error?.disposition == .outage)
        var closed = 0
        for trial in trials { trial.attempt?.abandon { closed += 1 } }
        try await eventually("all are closed") { closed == trials.count }
    }

    @Test("the number of rounds is read from a complete message only")
    func readsRounds() {
        let whole = ScriptedServer.authentication(11, Array("r=abc,s=c2FsdA==,i=4096".utf8))
        #expect(ScramRounds.rounds(in: whole[...]) == 4_096)
        for length in 0..<whole.count - 4 { #expect(ScramRounds.rounds(in: whole[..<length]) == nil) }
        #expect(
            ScramRounds.rounds(in: (whole + [UInt8(ascii: "9")])[...]) == 4_096, "the next message is not part of it")
        #expect(ScramRounds.rounds(in: ScriptedServer.authentication(10, Array("i=5".utf8))[...]) == nil)
        let absurd = ScriptedServer.authentication(11, Array("r=a,i=99999999999999999999".utf8))
        #expect(ScramRounds.rounds(in: absurd[...]) == .max, "an absurd number is capped")
    }
}
