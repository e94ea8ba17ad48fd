import DispatchLoop
import PostgresTestKit
import Testing

@testable import PostgresSession

/// `target_session_attrs` (PostgreSQL manual, 34.1.2) with a primary and its standby.
@LoopActor
@Suite(.timeLimit(.minutes(3))) struct SessionRoleTests {
    /// The role of the server that accepts the session, or the error's code.
    private func connect(
        _ primary: PostgresSandbox, _ standby: PostgresSandbox, _ attributes: String, standbyFirst: Bool,
        _ memory: ServerMemory
    ) async -> String {
        let ports = standbyFirst ? [standby.port, primary.port] : [primary.port, standby.port]
        let configuration = ConnectionConfiguration(
            "postgres://admin:P%40ssw0rd@127.0.0.1:\(ports[0]),127.0.0.1:\(ports[1])/mydb?target_session_attrs=\(attributes)"
        )
        let result = await withCheckedContinuation { continuation in
            ConnectAttempt(configuration, limits: .within(.now() + .seconds(10)), memory: memory) {
                continuation.resume(returning: $0)
            }.start()
        }
        switch result {
        case .failure(let error): return error.code
        case .success(let connection):
            defer { connection.close() }
            return connection.endpoint == "127.0.0.1:\(primary.port)" ? "primary" : "standby"
        }
    }

    @Test("all six values find a server of their role, in either order, repeatedly, and after restarts and a failover")
    func roles() async throws {
        let primary = try await PostgresSandbox.make()
        try await primary.start()
        let standby = try await PostgresSandbox.makeStandby(of: primary)
        try await standby.start()
        for (attributes, expected) in [
            ("read-write", "primary"), ("primary", "primary"), ("read-only", "standby"), ("standby", "standby"),
            ("prefer-standby", "standby"),
        ] {
            for standbyFirst in [true, false] {
                let memory = ServerMemory()
                for _ in 0..<2 {
                    let found = await connect(primary, standby, attributes, standbyFirst: standbyFirst, memory)
                    #expect(found == expected, "\(attributes)")
                }
            }
        }
        #expect(await connect(primary, standby, "any", standbyFirst: true, ServerMemory()) == "standby")
        #expect(await connect(primary, standby, "any", standbyFirst: false, ServerMemory()) == "primary")

        let memory = ServerMemory()
        #expect(await connect(primary, standby, "prefer-standby", standbyFirst: false, memory) == "standby")
        try await standby.stop(.fast)
        for _ in 0..<2 {
            #expect(await connect(primary, standby, "prefer-standby", standbyFirst: false, memory) == "primary")
        }
        #expect(await connect(primary, standby, "standby", standbyFirst: false, ServerMemory()) == "WRONG_ROLE")
        try await standby.start()
        #expect(await connect(primary, standby, "prefer-standby", standbyFirst: false, memory) == "standby")

        // After a failover.
        let writers = ServerMemory()
        #expect(await connect(primary, standby, "read-write", standbyFirst: false, writers) == "primary")
        try await primary.stop(.fast)
        try await standby.promote()
        try await eventually("the promoted standby is found") {
            await connect(primary, standby, "read-write", standbyFirst: false, writers) == "standby"
        }
        try await standby.remove()
        try await primary.remove()
    }
}
