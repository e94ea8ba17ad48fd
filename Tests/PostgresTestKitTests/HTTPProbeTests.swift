import Glibc
import PostgresTestKit
import Testing

@Suite("An HTTP probe", .timeLimit(.minutes(1)))
struct HTTPProbeTests {
    private static let length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

    @Test(
        "reads an answer with any delimiter and any segmentation",
        arguments: [
            [length], length.map { String($0) },
            ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n"],
            ["HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n", "he\r\n3\r\nllo\r\n0\r", "\n\r\n"],
        ])
    func answers(_ pieces: [String]) async throws {
        let server = try StubServer([.send(pieces)])
        let exchange = await HTTPProbe.get("/", port: server.port)
        #expect(exchange.outcome == .answered(status: 200, body: "hello"))
        #expect(exchange.isGood)
    }

    @Test("ends a body without a length at the end of the connection")
    func untilClosed() async throws {
        let server = try StubServer([.sendAndClose(["HTTP/1.0 400 Bad\r\n\r\n{\"code\": ", "\"57P01\"}"])])
        let exchange = await HTTPProbe.get("/", port: server.port)
        #expect(exchange.outcome == .answered(status: 400, body: "{\"code\": \"57P01\"}"))
        #expect(exchange.errorCode == "57P01")
        #expect(exchange.summary == "400 57P01")
    }

    @Test("reuses a connection, and reports a server that closes it under a request")
    func keepAlive() async throws {
        let server = try StubServer([.send([Self.length]), .sendAndClose([]), .send([Self.length])])
        let outcomes = await offCooperativeThreads {
            let probe = HTTPProbe(port: server.port)
            return [probe.get("/"), probe.get("/"), probe.get("/")].map(\.outcome)
        }
        let good = HTTPExchange.Outcome.answered(status: 200, body: "hello")
        #expect(outcomes == [good, .failed("closed unannounced"), good])
    }

    @Test("opens a new connection if the server closed the idle one before the request")
    func closedWhileIdle() async throws {
        let server = try StubServer([.sendAndClose([Self.length]), .send([Self.length])])
        let outcomes = await offCooperativeThreads {
            let probe = HTTPProbe(port: server.port)
            let first = probe.get("/").outcome
            let deadline = Deadline(in: .seconds(10))
            while !probe.hasEnded, deadline.remaining > .zero { usleep(1_000) }
            return [first, probe.get("/").outcome]
        }
        let good = HTTPExchange.Outcome.answered(status: 200, body: "hello")
        #expect(outcomes == [good, good])
    }

    @Test("reports a server that closes within an answer")
    func torn() async throws {
        let server = try StubServer([.sendAndClose(["HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe"])])
        #expect(await HTTPProbe.get("/", port: server.port).outcome == .failed("closed"))
    }

    @Test("keeps its deadline")
    func silent() async throws {
        let server = try StubServer([.silence])
        let exchange = await HTTPProbe.get("/", port: server.port, limit: .milliseconds(200))
        #expect(exchange.outcome == .failed("timed out"))
        #expect(exchange.latency >= .milliseconds(200))
    }

    @Test("reports a port without a listener as refused")
    func refused() async throws {
        let sandbox = try await PostgresSandbox.make()  // reserves its port
        #expect(await HTTPProbe.get("/", port: sandbox.port).outcome == .failed("refused"))
        try await sandbox.remove()
    }

    @Test("sends and receives separately")
    func inFlight() async throws {
        let server = try StubServer([.send([Self.length])])
        let exchange = await offCooperativeThreads {
            let probe = HTTPProbe(port: server.port)
            return probe.send("/") ?? probe.receive()
        }
        #expect(exchange.isGood)
    }

    @Test(
        "reads a port, an authority and a URL as an address",
        arguments: [
            ("8080", "http://127.0.0.1:8080"), ("localhost:80", "http://localhost:80"),
            ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"), ("nonsense", nil), ("a:b:1", nil), ("", nil),
        ] as [(String, String?)])
    func addresses(_ text: String, _ expected: String?) {
        #expect(ServiceAddress(text)?.description == expected)
    }
}
