import DispatchLoop
import PostgresSandbox

@testable import PostgresConnection

/// One server for all tests that do not harm it; removed with this process.
enum SharedSandbox {
    private static let task = Task {
        let sandbox = try await PostgresSandbox.make()
        try await sandbox.start()
        return sandbox
    }

    static func get() async throws -> PostgresSandbox { try await task.value }
}

@LoopActor
func connect(_ url: String) async throws -> PostgresConnection {
    try await PostgresConnection.connect(ConnectionConfiguration(url), deadline: .now() + .seconds(10))
}

@LoopActor
func connect() async throws -> PostgresConnection {
    try await connect(try await SharedSandbox.get().connectionURL())
}

var soon: MonotonicTime { .now() + .seconds(10) }
