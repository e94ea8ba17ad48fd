import DispatchLoop
import PostgresTestKit
import Testing

@testable import PostgresSession

@LoopActor
@Suite(.timeLimit(.minutes(2))) struct HostResolverTests {
    @Test("concurrent requests for one name share a look-up")
    func coalesced() async {
        let calls = Locked(0)
        let gate = Gate()
        let resolver = HostResolver { _ in
            calls.withLock { $0 += 1 }
            gate.wait()
            return .success(["127.0.0.1"])
        }
        let answers: Int = await withCheckedContinuation { continuation in
            var answered = 0
            for _ in 0..<50 {
                _ = resolver.resolve("db") { _ in
                    answered += 1
                    if answered == 50 { continuation.resume(returning: answered) }
                }
            }
            gate.open()
        }
        #expect(answers == 50)
        #expect(calls.withLock { $0 } == 1)
    }

    @Test("stalled look-ups hold a limited number of threads; one more name fails at once")
    func bounded() async {
        let gate = Gate()
        let resolver = HostResolver { _ in
            gate.wait()
            return .success([])
        }
        for index in 0..<HostResolver.limit { _ = resolver.resolve("host\(index)") { _ in } }
        let refusal: HostResolver.Resolution = await withCheckedContinuation { continuation in
            _ = resolver.resolve("one more") { continuation.resume(returning: $0) }
        }
        if case .failure(let error) = refusal {
            #expect(error.code == PostgresError.Code.nameLookup)
        } else {
            Issue.record("expected a refusal")
        }
        gate.open()
    }

    @Test("a request after the stall timeout starts a new look-up, which a stalled one does not delay")
    func freshLookUp() async throws {
        let gate = Gate()
        let calls = Locked(0)
        let resolver = HostResolver { _ in
            let call = calls.withLock {
                $0 += 1
                return $0
            }
            if call == 1 { gate.wait() }
            return .success(["127.0.0.1"])
        }
        let first = resolver.resolve("db") { _ in Issue.record("the first caller abandoned its request") }
        resolver.abandon(first)
        let answer: HostResolver.Resolution = try await withCheckedThrowingContinuation { continuation in
            _ = EventLoop.shared.schedule(at: .now() + HostResolver.defaultStallTimeout + .milliseconds(10)) {
                _ = resolver.resolve("db") { continuation.resume(returning: $0) }
            }
        }
        gate.open()
        #expect(throws: Never.self) { try answer.get() }
    }

    @Test("a stalled name holds two threads, however many requests there are, and none afterwards")
    func boundedPerName() async throws {
        let gate = Gate()
        let calls = Locked(0)
        let resolver = HostResolver(stallTimeout: .zero) { _ in
            calls.withLock { $0 += 1 }
            gate.wait()
            return .success(["127.0.0.1"])
        }
        var answers = 0
        for _ in 0..<50 { _ = resolver.resolve("db") { _ in answers += 1 } }
        try await eventually("both look-ups run") { calls.withLock { $0 } == 2 }
        gate.open()
        try await eventually("all requests are answered") { answers == 50 }
        #expect(calls.withLock { $0 } == HostResolver.limitPerName)
        _ = resolver.resolve("db") { _ in answers += 1 }
        try await eventually("the next request starts a new look-up") { answers == 51 }
    }

    @Test("a connect whose look-up stalls fails at its deadline")
    func stalled() async {
        let gate = Gate()
        let resolver = HostResolver { _ in
            gate.wait()
            return .success(["127.0.0.1"])
        }
        let result: Result<PostgresConnection, PostgresError> = await withCheckedContinuation { continuation in
            ConnectAttempt(
                ConnectionConfiguration("postgres://u@db.example/x"), limits: .within(.now() + .milliseconds(20)),
                resolver: resolver, completion: { continuation.resume(returning: $0) }
            ).start()
        }
        gate.open()
        guard case .failure(let error) = result else {
            Issue.record("expected the connect to fail")
            return
        }
        #expect(error.code == PostgresError.Code.connectTimeout)
    }

    @Test(
        "numeric addresses need no look-up",
        arguments: [("127.0.0.1", true), ("::1", true), ("fe80::1%lo", true), ("db", false), ("1.2.3", false)])
    func numeric(host: String, isNumeric: Bool) {
        #expect(HostResolver.isNumeric(host) == isNumeric)
    }

    @Test("a name that does not exist is an outage with its own code")
    func unknown() {
        guard case .failure(let error) = HostResolver.systemLookUp("no-such-host.invalid") else {
            Issue.record("expected the look-up to fail")
            return
        }
        #expect([PostgresError.Code.nameUnknown, PostgresError.Code.nameLookup].contains(error.code))
        #expect(error.disposition == .outage)
    }
}
