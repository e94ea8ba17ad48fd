package import PostgresTestKit

/// A service in the comparison: a command that serves on `PORT` with `DATABASE_URL`.
package struct BenchmarkTarget: Sendable {
    package let name: String
    package let command: [String]

    package init(name: String, command: [String]) {
        self.name = name
        self.command = command
    }
}

/// A running target whose answers are correct.
package struct RunningTarget: Sendable {
    package let name: String
    package let process: ServiceProcess
    package let port: UInt16
    /// False for targets that serve only `/`.
    package let hasPing: Bool

    /// Starts the target, and compares its answers with the expected ones, except for spaces: shorter answers would be
    /// faster.
    ///
    /// Throws a `SandboxError` if it does not start or its answers differ.
    package static func start(
        _ target: BenchmarkTarget, databaseURL: String, expecting bodies: [String: String]
    ) async throws -> RunningTarget {
        let port = try PortReservation.unreserved()
        let process = try await ServiceProcess.start(
            target.command,
            environment: ["PORT": "\(port)", "HOST": "127.0.0.1", "DATABASE_URL": databaseURL, "LOG_LEVEL": "warning"])
        do {
            try await process.waitUntilListening(on: port, within: .seconds(60))
            try await check("/", port, bodies["/"] ?? "", target)
            let hasPing = try await answersPing(port)
            if hasPing { try await check("/ping", port, bodies["/ping"] ?? "", target) }
            return RunningTarget(name: target.name, process: process, port: port, hasPing: hasPing)
        } catch {
            _ = try? await process.stop()
            throw error
        }
    }

    /// Waits while the target's pool is connecting.
    private static func answersPing(_ port: UInt16) async throws -> Bool {
        var status: Int?
        _ = try await Deadline(in: .seconds(20)).wait(every: .milliseconds(50)) {
            status = await HTTPProbe.get("/ping", port: port).status
            return status == 200 || status == 404
        }
        return status != 404
    }

    private static func check(_ path: String, _ port: UInt16, _ body: String, _ target: BenchmarkTarget) async throws {
        let exchange = await HTTPProbe.get(path, port: port)
        let isRight = body.isEmpty || exchange.body.filter { !$0.isWhitespace } == body.filter { !$0.isWhitespace }
        guard exchange.isGood, isRight else {
            throw SandboxError(
                .service, "\(target.name) answers \(path) differently: \(exchange.summary)\n\(exchange.body)")
        }
    }
}
