import CLinux
import DispatchLoop
import Glibc
import HTTP1
import HTTPTypes
import Testing

@testable import DispatchHTTP

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
            ("::", ["0.0.0.0", "::"]), ("127.0.0.1", ["127.0.0.1"]), ("::1", ["::1"]), ("0.0.0.0", ["0.0.0.0"]),
        ])
    func addresses(_ host: String, _ expected: [String]) async throws {
        let server = try Self.start(host: host)
        #expect(server.addresses.map(\.host) == expected)
        #expect(Set(server.addresses.map(\.port)).count == 1)
        #expect(server.addresses.allSatisfy { $0.port != 0 })
        await Self.stop(server)
    }

    @Test("the error for a port in use names the remedy")
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

    @Test("an unknown name is an error with the resolver's sentence and a remedy")
    func unknownName() {
        // A label has at most 63 characters, so no resolver queries a name server for this one.
        let name = String(repeating: "x", count: 64)
        let error = #expect(throws: ListenError.self) { try Self.start(host: name) }
        #expect(error?.description.hasPrefix("cannot listen on \(name): ") == true)
        #expect(error?.problem.hasSuffix("localhost, or * for all addresses") == true)
        #expect(error?.errno == 0)
    }

    @Test("a name stands for the addresses that the resolver knows, each once")
    func name() throws {
        // getaddrinfo(3) accepts this form without a hosts file; inet_pton(3) does not.
        let addresses = try SocketAddress.lookUp("127.1", port: 80)
        #expect(addresses.map(\.description) == ["127.0.0.1:80"])
        let local = try SocketAddress.lookUp("localhost", port: 80).map(\.description)
        #expect(!local.isEmpty && Set(local).isSubset(of: ["127.0.0.1:80", "[::1]:80"]))
        #expect(Set(local).count == local.count)
    }

    @Test("another machine's address is an error")
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

    @Test("an adopted listening socket becomes close-on-exec and non-blocking")
    func adopted() async throws {
        let descriptor = try Self.bound(AF_INET, SOCK_STREAM)
        #expect(listen(descriptor, 16) == 0)
        var router = Router()
        router.get("/", always: Response(status: .ok, text: "hello", contentType: "text/plain"))
        let server = HTTPServer(configuration: ServerConfiguration(host: "192.0.2.1", port: 1), responder: router)
        let address = try #require(try server.start(adopting: [descriptor]).first)
        #expect(address.host == "127.0.0.1")
        #expect(fcntl(descriptor, F_GETFD) & FD_CLOEXEC != 0)
        #expect(fcntl(descriptor, F_GETFL) & O_NONBLOCK != 0)
        let reply = try await offLoop {
            let client = try TestClient(port: address.port)
            try client.send(ConversationTests.get)
            return try client.reply()
        }
        #expect(reply.body == "hello")
        await Self.stop(server)
    }

    @Test("an unsuitable descriptor is an error with its reason")
    func notAdopted() throws {
        func problem(_ descriptor: Int32) throws -> String {
            defer { close(descriptor) }
            let server = HTTPServer(configuration: ServerConfiguration(), responder: Router())
            let error = #expect(throws: ListenError.self) { try server.start(adopting: [descriptor]) }
            #expect(server.addresses.isEmpty)
            return error?.problem ?? ""
        }
        #expect(try problem(99_999).contains("no open socket"))
        #expect(try problem(open("/dev/null", O_RDONLY | O_CLOEXEC)).contains("no open socket"))
        #expect(try problem(Self.bound(AF_INET, SOCK_DGRAM)).contains("no stream socket"))
        #expect(try problem(Self.bound(AF_INET, SOCK_STREAM)).contains("does not listen"))
        #expect(try problem(Self.bound(AF_UNIX, SOCK_STREAM)).contains("not one of TCP"))
    }

    /// A socket bound to loopback, or unbound for another family.
    private static func bound(_ family: Int32, _ type: __socket_type) throws -> Int32 {
        let descriptor = socket(family, Int32(type.rawValue), 0)
        try #require(descriptor >= 0)
        guard family == AF_INET else { return descriptor }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let isBound = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
        try #require(isBound)
        return descriptor
    }

    @Test("several servers can share a port with reusePort")
    func reusePort() async throws {
        var configuration = ServerConfiguration(host: "127.0.0.1", port: 0, reusePort: true)
        let first = HTTPServer(configuration: configuration, responder: Router())
        configuration.port = try first.start()[0].port
        let second = HTTPServer(configuration: configuration, responder: Router())
        #expect(try second.start() == first.addresses)
        // A second start returns the same addresses.
        #expect(try second.start() == first.addresses)
        await Self.stop(first)
        await Self.stop(second)
    }
}
