package import PostgresTestKit

/// Controls a database in a container. It is found by its address in its network, which may change with each start, so
/// nothing here passes through a published port or the engine's proxy.
package struct ContainerDatabase: DatabaseControl {
    private let engine: ContainerEngine
    private let id: String
    private let user: String
    private let database: String
    package let port: UInt16?

    package init(_ container: ContainerState, engine: ContainerEngine) throws {
        guard let port = container.ports.first else {
            throw SandboxError(.notRunning, "the container \(container.name) of the database exposes no TCP port")
        }
        self.engine = engine
        id = container.id
        user = container.environment["POSTGRES_USER"] ?? "postgres"
        database = container.environment["POSTGRES_DB"] ?? user
        self.port = port
    }

    package func stop(_ mode: StopMode) async throws { try await engine.perform("stop", on: id) }

    package func start() async throws {
        try await engine.perform("start", on: id)
        try await waitForLogins()
    }

    package func restart() async throws {
        try await engine.perform("restart", on: id)
        try await waitForLogins()
    }

    package func kill() async throws { try await engine.perform("kill", on: id) }
    package func freeze() async throws { try await engine.perform("pause", on: id) }
    package func thaw() async throws { try await engine.perform("unpause", on: id) }

    /// Waits until it takes logins.
    package func waitForLogins(within limit: Duration = .seconds(60)) async throws {
        let container = try await engine.inspect(id)
        let address = container.address
        let port = port ?? 5432
        let isReady = try await Deadline(in: limit).wait {
            await offCooperativeThreads {
                LoginProbe.send(
                    to: port, host: address, user: user, database: database, within: .milliseconds(200)
                ).isReady
            }
        }
        guard isReady else {
            throw SandboxError(
                .timedOut,
                "the PostgreSQL of the container \(container.name) takes no logins at \(address):\(port); is this "
                    + "program in a network of the container's engine?")
        }
    }
}
