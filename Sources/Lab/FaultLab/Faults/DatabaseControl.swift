package import PostgresTestKit

/// The control of a database, a sandbox or a container, through which faults act.
package protocol DatabaseControl: Sendable {
    func stop(_ mode: StopMode) async throws
    /// Returns once logins work.
    func start() async throws
    func restart() async throws
    func kill() async throws
    func freeze() async throws
    func thaw() async throws
}

/// Controls a sandbox.
package struct SandboxDatabase: DatabaseControl {
    private let sandbox: PostgresSandbox

    package init(_ sandbox: PostgresSandbox) { self.sandbox = sandbox }

    package func stop(_ mode: StopMode) async throws { try await sandbox.stop(mode) }
    package func start() async throws { try await sandbox.start() }
    package func restart() async throws { try await sandbox.restart() }
    package func kill() async throws { try await sandbox.kill() }
    package func freeze() async throws { try await sandbox.freeze() }
    package func thaw() async throws { try await sandbox.thaw() }
}

/// Controls a Compose service through `docker compose`.
package struct ComposeDatabase: DatabaseControl {
    private let service: String
    private let folder: String
    private let port: UInt16

    /// - Parameters:
    ///   - folder: holds the compose file; by default the current folder.
    ///   - port: the published port on the loopback address, for the wait until logins work.
    package init(service: String = "postgres", folder: String? = nil, port: UInt16 = 5432) {
        self.service = service
        self.folder = folder ?? Files.canonical(".") ?? "."
        self.port = port
    }

    package func stop(_ mode: StopMode) async throws { try await compose("stop") }

    package func start() async throws {
        try await compose("start")
        try await waitForLogins()
    }

    package func restart() async throws {
        try await compose("restart")
        try await waitForLogins()
    }

    package func kill() async throws { try await compose("kill") }
    package func freeze() async throws { try await compose("pause") }
    package func thaw() async throws { try await compose("unpause") }

    private func compose(_ verb: String) async throws {
        let command = Command(
            executable: "/bin/sh", arguments: ["-c", "exec docker compose \"$@\"", "docker", verb, service],
            folder: folder)
        try await command.run()
    }

    private func waitForLogins() async throws {
        let port = self.port
        let isReady = try await Deadline(in: .seconds(60)).wait {
            await offCooperativeThreads {
                LoginProbe.send(to: port, user: "admin", database: "mydb", within: .milliseconds(200)).isReady
            }
        }
        guard isReady else {
            throw SandboxError(
                .timedOut, "the container's PostgreSQL takes no logins on 127.0.0.1:\(port); is the port published?")
        }
    }
}
