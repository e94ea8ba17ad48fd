package import PostgresTestKit

/// A service that takes part: a command that serves on `PORT` with `DATABASE_URL`, as daruma itself and each peer do.
package struct BenchmarkTarget: Sendable {
    package let name: String
    package let command: [String]

    package init(name: String, command: [String]) {
        self.name = name
        self.command = command
    }
}

/// A contender that runs and has been found to answer as it should.
package struct RunningContender: Sendable {
    package let name: String
    package let process: ServiceProcess
    package let port: UInt16
    /// Whether it answers `/ping`; some only serve `/`.
    package let hasPing: Bool

    /// Starts it, and holds its answers against the ones that are right, all but spaces: who sends less would be faster.
    ///
    /// Throws a `SandboxError` when it does not start or answers something else.
    package static func start(
        _ contender: BenchmarkTarget, databaseURL: String, expecting bodies: [String: String]
    ) async throws -> RunningContender {
        let port = try PortReservation.unreserved()
        let process = try await ServiceProcess.start(
            contender.command,
            environment: ["PORT": "\(port)", "HOST": "127.0.0.1", "DATABASE_URL": databaseURL, "LOG_LEVEL": "warning"])
        do {
            try await process.waitUntilListening(on: port, within: .seconds(60))
            try await check("/", port, bodies["/"] ?? "", contender)
            let hasPing = try await answersPing(port)
            if hasPing { try await check("/ping", port, bodies["/ping"] ?? "", contender) }
            return RunningContender(name: contender.name, process: process, port: port, hasPing: hasPing)
        } catch {
            _ = try? await process.stop()
            throw error
        }
    }

    /// Waits for a pool that is still connecting.
    private static func answersPing(_ port: UInt16) async throws -> Bool {
        var status: Int?
        _ = try await Deadline(in: .seconds(20)).wait(every: .milliseconds(50)) {
            status = await HTTPProbe.get("/ping", port: port).status
            return status == 200 || status == 404
        }
        return status != 404
    }

    private static func check(_ path: String, _ port: UInt16, _ body: String, _ contender: BenchmarkTarget) async throws
    {
        let exchange = await HTTPProbe.get(path, port: port)
        let isRight = body.isEmpty || exchange.body.filter { !$0.isWhitespace } == body.filter { !$0.isWhitespace }
        guard exchange.isGood, isRight else {
            throw SandboxError(
                .service, "\(contender.name) answers \(path) otherwise: \(exchange.summary)\n\(exchange.body)")
        }
    }
}
