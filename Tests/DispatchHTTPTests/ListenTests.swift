import DispatchHTTP
import DispatchLoop
import Testing

@Suite("listening", .timeLimit(.minutes(1)))
@LoopActor
struct ListenTests {
    static func start(host: String, port: UInt16 = 0) throws -> HTTPServer {
        let server = HTTPServer(configuration: ServerConfiguration(host: host, port: port), responder: Router())
        try server.start()
        return server
    }

    static func stop(_ server: HTTPServer) async {
        _ = await server.drain(deadline: EventLoop.shared.now + .seconds(1))
    }

    @Test(
        "a host stands for its addresses",
        arguments: [
            ("", ["0.0.0.0", "::"]), ("*", ["0.0.0.0", "::"]), ("localhost", ["127.0.0.1", "::1"]),
            ("127.0.0.1", ["127.0.0.1"]), ("::1", ["::1"]), ("0.0.0.0", ["0.0.0.0"]),
        ])
    func addresses(_ host: String, _ expected: [String]) async throws {
        let server = try Self.start(host: host)
        #expect(server.addresses.map(\.host) == expected)
        #expect(Set(server.addresses.map(\.port)).count == 1)
        #expect(server.addresses.allSatisfy { $0.port != 0 })
        await Self.stop(server)
    }

    @Test("a port in use is said to be in use, and what to do")
    func portInUse() async throws {
        let first = try Self.start(host: "127.0.0.1")
        let port = first.addresses[0].port
        let error = #expect(throws: ListenError.self) { try Self.start(host: "127.0.0.1", port: port) }
        #expect(
            error?.description
                == "cannot listen on 127.0.0.1:\(port): the port is in use; "
                + "stop the process that has it, or choose another port")
        await Self.stop(first)
    }

    @Test("what is no address is said to be none, without asking a name server")
    func noAddress() {
        let error = #expect(throws: ListenError.self) { try Self.start(host: "example.com") }
        #expect(error?.description.hasPrefix("cannot listen on example.com: this is no IP address") == true)
    }

    @Test("an address of another machine is said to be none of this one")
    func foreignAddress() {
        let error = #expect(throws: ListenError.self) { try Self.start(host: "192.0.2.1") }
        #expect(error?.problem == "no network interface of this machine has this address")
    }

    @Test("after a drain the port is free again")
    func portIsFreed() async throws {
        let first = try Self.start(host: "127.0.0.1")
        let port = first.addresses[0].port
        await Self.stop(first)
        let second = try Self.start(host: "127.0.0.1", port: port)
        await Self.stop(second)
    }

    @Test("several servers can share a port when they say so")
    func reusePort() async throws {
        var configuration = ServerConfiguration(host: "127.0.0.1", port: 0, reusePort: true)
        let first = HTTPServer(configuration: configuration, responder: Router())
        configuration.port = try first.start()[0].port
        let second = HTTPServer(configuration: configuration, responder: Router())
        #expect(try second.start() == first.addresses)
        // Asked twice, it says the same.
        #expect(try second.start() == first.addresses)
        await Self.stop(first)
        await Self.stop(second)
    }
}
