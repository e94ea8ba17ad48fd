import DispatchLoop
import PostgresTestKit
import Testing

@testable import PostgresSession

@LoopActor
@Suite(.timeLimit(.minutes(2))) struct ConnectingTests {
    @Test("an attempt abandoned at any moment calls no completion and leaves no socket", arguments: 0..<40)
    func abandonedAttempt(step: Int) async throws {
        let configuration = ConnectionConfiguration(try await SharedSandbox.get().connectionURL())
        let loop = EventLoop.shared
        let isSilent = await withCheckedContinuation { continuation in
            var completed = 0
            let attempt = ConnectAttempt(configuration, limits: .within(soon)) { _ in completed += 1 }
            attempt.start()
            // The steps cover a whole connect, including SCRAM's keys on a helper thread and the return to the loop.
            _ = loop.schedule(at: loop.now.advanced(byNanoseconds: Int64(step) * 250_000)) {
                let hadCompleted = completed
                let before = Files.names(in: "/proc/self/fd").count
                attempt.abandon()
                let after = Files.names(in: "/proc/self/fd").count
                // The socket of a completed attempt belongs to its session.
                let isClosed = hadCompleted == 1 || after <= before
                _ = loop.schedule(at: loop.now.advanced(byNanoseconds: 20_000_000)) {
                    continuation.resume(returning: completed == hadCompleted && isClosed)
                }
            }
        }
        #expect(isSilent)
    }

    @Test(
        "a login that the server refuses has the SQLSTATE",
        arguments: [("wrong", "mydb", "28P01"), (nil, "nonesuch", "3D000")])
    func refusedLogin(password: String?, database: String, code: String) async throws {
        let sandbox = try await SharedSandbox.get()
        let error = await #expect(throws: PostgresError.self) {
            try await connect(sandbox.connectionURL(password: password, database: database))
        }
        #expect(error?.code == code)
        #expect(error?.disposition == .configuration)
        #expect(error.map { !"\($0)".contains("P@ssw0rd") } ?? false)
    }

    @Test("a port on which nothing listens refuses the connect")
    func refused() async throws {
        let error = await #expect(throws: PostgresError.self) {
            try await connect("postgres://admin@127.0.0.1:1/mydb")
        }
        #expect(error?.code == PostgresError.Code.refused)
        #expect(error?.disposition == .outage)
        #expect(error?.endpoint == "127.0.0.1:1")
    }

    @Test("the second server of a list is used when the first refuses")
    func secondServer() async throws {
        let sandbox = try await SharedSandbox.get()
        let connection = try await connect(
            "postgres://admin:P%40ssw0rd@127.0.0.1:1,127.0.0.1:\(sandbox.port)/mydb")
        #expect(connection.endpoint == "127.0.0.1:\(sandbox.port)")
    }

    @Test("localhost is looked up and reached at one of its addresses")
    func localhost() async throws {
        let sandbox = try await SharedSandbox.get()
        let connection = try await connect(sandbox.connectionURL(host: "localhost"))
        #expect(try await connection.query("select 1", deadline: soon).values == ["1"])
    }

    @Test("a Unix socket works")
    func unixSocket() async throws {
        let sandbox = try await SharedSandbox.get()
        let connection = try await connect(
            "host=\(sandbox.socketFolder) port=\(sandbox.port) user=admin password='P@ssw0rd' dbname=mydb")
        #expect(try await connection.query("select 1", deadline: soon).values == ["1"])
    }

    @Test("an invalid connection string fails every connect with its problem")
    func badString() async throws {
        let error = await #expect(throws: PostgresError.self) { try await connect("nonsense") }
        #expect(error?.code == PostgresError.Code.conninfo)
    }
}
