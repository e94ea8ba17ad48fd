package import PostgresTestKit

/// The control of a database, a sandbox or a container, through which faults act.
package protocol DatabaseControl: Sendable {
    /// The port at which the service reaches it; nil if that is unknown.
    var port: UInt16? { get }
    func stop(_ mode: StopMode) async throws
    /// Returns once logins work.
    func start() async throws
    func restart() async throws
    func kill() async throws
    func freeze() async throws
    func thaw() async throws
}

extension DatabaseControl {
    package var port: UInt16? { nil }
}

/// Controls a sandbox.
package struct SandboxDatabase: DatabaseControl {
    private let sandbox: PostgresSandbox

    package init(_ sandbox: PostgresSandbox) { self.sandbox = sandbox }

    package var port: UInt16? { sandbox.port }
    package func stop(_ mode: StopMode) async throws { try await sandbox.stop(mode) }
    package func start() async throws { try await sandbox.start() }
    package func restart() async throws { try await sandbox.restart() }
    package func kill() async throws { try await sandbox.kill() }
    package func freeze() async throws { try await sandbox.freeze() }
    package func thaw() async throws { try await sandbox.thaw() }
}
