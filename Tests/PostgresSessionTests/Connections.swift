import DispatchLoop
import PostgresTestKit

@testable import PostgresSession

@LoopActor
func connect(_ url: String) async throws -> PostgresConnection {
    try await PostgresConnection.connect(ConnectionConfiguration(url), deadline: .now() + .seconds(10))
}

@LoopActor
func connect() async throws -> PostgresConnection {
    try await connect(try await SharedSandbox.get().connectionURL())
}

var soon: MonotonicTime { .now() + .seconds(10) }
