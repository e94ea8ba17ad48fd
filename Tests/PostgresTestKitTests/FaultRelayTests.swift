import Testing

@testable import PostgresTestKit

@Suite("A relay", .timeLimit(.minutes(1)))
struct FaultRelayTests {
    private static let answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

    @Test("forwards a login, refuses, and forwards again on the same port")
    func doors() async throws {
        try await PostgresSandbox.withSandbox { sandbox in
            let relay = try FaultRelay(to: sandbox.port)
            let url = sandbox.connectionURL(port: relay.port)
            #expect(try await login(url) == "admin@mydb")
            relay.behave(.refusing)
            #expect(await HTTPProbe.get("/", port: relay.port).outcome == .failed("refused"))
            await #expect(throws: SandboxError.self) { try await login(url) }
            relay.behave(.forwarding)
            #expect(try await login(url) == "admin@mydb")
            #expect(relay.statistics.accepted == 2)
            #expect(relay.statistics.peak == 1)
            await relay.shutDown()
        }
    }

    @Test("with a silent door accepts and never answers")
    func silentDoor() async throws {
        let server = try StubServer([.send([Self.answer])])
        let relay = try FaultRelay(to: server.port)
        relay.behave(.blackHole)
        let exchange = await HTTPProbe.get("/", port: relay.port, limit: .milliseconds(200))
        #expect(exchange.outcome == .failed("timed out"))
        relay.behave(.forwarding)
        #expect(await HTTPProbe.get("/", port: relay.port).isGood)
        await relay.shutDown()
    }

    @Test("delivers stalled bytes when it forwards again")
    func stalled() async throws {
        let server = try StubServer([.send([Self.answer])])
        let relay = try FaultRelay(to: server.port)
        relay.behave(RelayBehaviour(toClient: .stalled))
        let exchange = await offCooperativeThreads {
            let probe = HTTPProbe(port: relay.port)
            let failed = probe.send("/")
            relay.behave(.forwarding)
            return failed ?? probe.receive()
        }
        #expect(exchange.isGood)
        await relay.shutDown()
    }

    @Test("resets connections")
    func resets() async throws {
        let server = try StubServer([.silence])
        let relay = try FaultRelay(to: server.port)
        let torn = await offCooperativeThreads {
            let probe = HTTPProbe(port: relay.port)
            let failed = probe.send("/")
            relay.resetAll()
            return failed ?? probe.receive()
        }
        #expect(torn.outcome == .failed("reset"))
        await relay.shutDown()
    }

    @Test("resets within an answer after a number of bytes")
    func resetsWithinAnswer() async throws {
        let server = try StubServer([.send([Self.answer])])
        let relay = try FaultRelay(to: server.port)
        relay.behave(RelayBehaviour(resetAfter: 10))
        #expect(await HTTPProbe.get("/", port: relay.port).outcome == .failed("reset"))
        await relay.shutDown()
    }

    @Test("forgets connections, which stay open and dead, while new ones work")
    func forgets() async throws {
        let server = try StubServer([.send([Self.answer]), .send([Self.answer])])
        let relay = try FaultRelay(to: server.port)
        let outcomes = await offCooperativeThreads {
            let probe = HTTPProbe(port: relay.port, limit: .milliseconds(300))
            let before = probe.get("/")
            relay.forgetAll()
            return [before.outcome, probe.get("/").outcome]
        }
        #expect(outcomes == [.answered(status: 200, body: "hello"), .failed("timed out")])
        await relay.shutDown()
    }

    @Test("closes the half towards the client without a reset")
    func closesHalf() async throws {
        let server = try StubServer([.silence])
        let relay = try FaultRelay(to: server.port)
        let exchange = await offCooperativeThreads {
            let probe = HTTPProbe(port: relay.port)
            let failed = probe.send("/")
            relay.closeToClient()
            return failed ?? probe.receive()
        }
        #expect(exchange.outcome == .failed("closed"))
        await relay.shutDown()
    }

    @Test("never counts a connection beside one that its client closed before")
    func oneAfterTheOther() async throws {
        let server = try StubServer([])
        let relay = try FaultRelay(to: server.port)
        relay.behave(.blackHole)
        let port = relay.port
        try await offCooperativeThreads {
            let deadline = Deadline(in: .seconds(40))
            for _ in 0..<2_000 { _ = try DeadlineSocket(host: "127.0.0.1", port: port, deadline: deadline) }
        }
        relay.behave(.forwarding)  // returns after all were accepted
        #expect(relay.statistics.accepted == 2_000)
        // 0 if each was closed before the relay's thread came to it.
        #expect(relay.statistics.peak <= 1)
        await relay.shutDown()
    }

    @Test("counts accepted, open and simultaneous connections")
    func counts() async throws {
        let server = try StubServer([.silence, .silence])
        let relay = try FaultRelay(to: server.port)
        await offCooperativeThreads {
            let probes = [HTTPProbe(port: relay.port), HTTPProbe(port: relay.port)]
            for probe in probes { _ = probe.send("/") }
            relay.behave(.forwarding)  // returns after both were accepted
            withExtendedLifetime(probes) {}
        }
        #expect(relay.statistics.accepted == 2)
        #expect(relay.statistics.peak == 2)
        #expect(try await Deadline(in: .seconds(10)).wait { relay.statistics.open == 0 })
        await relay.shutDown()
        #expect(await HTTPProbe.get("/", port: relay.port).outcome == .failed("refused"))
    }
}

@Suite("A relay's pipe")
struct RelayPipeTests {
    private let start = ContinuousClock.now

    @Test("forwards in order, and the end after the bytes")
    func forwards() {
        var pipe = RelayPipe()
        pipe.take([1, 2], at: start, .forwarding)
        pipe.take([3], at: start, .forwarding)
        pipe.end()
        #expect(Array(pipe.ready(at: start, .forwarding)) == [1, 2])
        pipe.sent(1, at: start, .forwarding)
        #expect(Array(pipe.ready(at: start, .forwarding)) == [2])
        #expect(!pipe.mayEnd(.forwarding))
        pipe.sent(1, at: start, .forwarding)
        pipe.sent(1, at: start, .forwarding)
        #expect(pipe.mayEnd(.forwarding))
        #expect(!pipe.mayEnd(.stalled))
        #expect(pipe.count == 0)
    }

    @Test("delays every byte by the same time, and reports when the next is due")
    func delays() {
        var pipe = RelayPipe()
        let flow = RelayBehaviour.Flow.delayed(.milliseconds(50))
        pipe.take([1], at: start, flow)
        #expect(pipe.ready(at: start + .milliseconds(49), flow).isEmpty)
        #expect(pipe.nextDue(flow) == start + .milliseconds(50))
        #expect(Array(pipe.ready(at: start + .milliseconds(50), flow)) == [1])
    }

    @Test(
        "jitters within its range, keeps the order, and repeats with the same seed",
        arguments: [1, 2, 3] as [UInt64])
    func jitters(seed: UInt64) {
        let flow = RelayBehaviour.Flow.jittered(.milliseconds(100) ... .milliseconds(500))
        func dues(_ seed: UInt64) -> [Duration] {
            var pipe = RelayPipe(seed: seed)
            // The reads are further apart than the range of the delay, so none waits for the previous one.
            return (0..<50).compactMap { number in
                let now = start + .seconds(number)
                pipe.take([UInt8(number)], at: now, flow)
                guard let due = pipe.nextDue(flow) else { return nil }
                pipe.sent(1, at: due, flow)
                return due - now
            }
        }
        let first = dues(seed)
        #expect(first.count == 50)
        #expect(first.allSatisfy { $0 >= .milliseconds(100) && $0 <= .milliseconds(500) })
        #expect(Set(first).count > 40)
        #expect(first == dues(seed))
        #expect(first != dues(seed + 10))
        var pipe = RelayPipe(seed: seed)
        var received: [UInt8] = []
        for byte in 0..<20 as Range<UInt8> { pipe.take([byte], at: start + .milliseconds(Int64(byte)), flow) }
        while let due = pipe.nextDue(flow) {
            let ready = pipe.ready(at: due, flow)
            received += ready
            pipe.sent(ready.count, at: due, flow)
        }
        #expect(received == Array(0..<20))
    }

    @Test("throttles to its rate")
    func throttles() {
        var pipe = RelayPipe()
        let flow = RelayBehaviour.Flow.throttled(bytesPerSecond: 1000)
        pipe.take([UInt8](repeating: 7, count: 3000), at: start, flow)
        var now = start
        var sent = 0
        while sent < 3000, let due = pipe.nextDue(flow) {
            now = max(now, due)
            let ready = pipe.ready(at: now, flow)
            #expect(!ready.isEmpty)
            pipe.sent(ready.count, at: now, flow)
            sent += ready.count
        }
        #expect(sent == 3000)
        #expect(now - start > .milliseconds(2900) && now - start <= .milliseconds(3000))
    }

    @Test("takes its capacity while stalled, and discards everything while swallowing")
    func capacity() {
        var pipe = RelayPipe()
        while pipe.accepts(.stalled) { pipe.take([UInt8](repeating: 0, count: 65_536), at: start, .stalled) }
        #expect(pipe.count == RelayPipe.capacity)
        #expect(pipe.ready(at: start, .stalled).isEmpty)
        #expect(pipe.accepts(.swallowing))
        pipe.take([1], at: start, .swallowing)
        #expect(pipe.count == RelayPipe.capacity)
    }
}
